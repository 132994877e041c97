package main

import (
	"encoding/json"
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	kjson "sigs.k8s.io/json"
)

// TemplateParams is what templates can name: Kanister's param.TemplateParams, with the same names,
// types and JSON (pkg/param/param.go; RepositoryServer as in the last version that had it). A
// pointer that is nil makes a template fail that looks behind it, a map that is nil does not.
//
// Its JSON is documented in reconcilers/actionset/templates/__init__.py.
type TemplateParams struct {
	StatefulSet      *Workload
	DeploymentConfig *Workload
	Deployment       *Workload
	PVC              *Named
	Namespace        *Named
	ArtifactsIn      map[string]Artifact
	ConfigMaps       map[string]corev1.ConfigMap
	Secrets          map[string]corev1.Secret
	Time             string
	Profile          *Profile
	RepositoryServer *RepositoryServer
	Options          map[string]string
	Object           map[string]any
	CurrentPhase     *Phase
	Phases           map[string]*Phase
	DeferPhase       *Phase
	PodOverride      map[string]any
	PodAnnotations   map[string]string
	PodLabels        map[string]string
}

type Workload struct {
	Name                   string
	Namespace              string
	Pods                   []string
	Containers             [][]string
	PersistentVolumeClaims map[string]map[string]string
}

type Named struct {
	Name      string
	Namespace string
}

type Artifact struct {
	KeyValue      map[string]string `json:"keyValue,omitempty"`
	KopiaSnapshot string            `json:"kopiaSnapshot,omitempty"`
}

type Profile struct {
	Location      Location
	Credential    Credential
	SkipSSLVerify bool
}

type Location struct {
	Type     string `json:"type"`
	Bucket   string `json:"bucket"`
	Endpoint string `json:"endpoint"`
	Prefix   string `json:"prefix"`
	Region   string `json:"region"`
}

type Credential struct {
	Type              string
	KeyPair           *KeyPair
	Secret            *corev1.Secret
	KopiaServerSecret *KopiaServerSecret
}

type KeyPair struct {
	ID     string
	Secret string
}

type KopiaServerSecret struct {
	Username       string
	Hostname       string
	Password       string
	Cert           string
	ConnectOptions map[string]int
}

type RepositoryServer struct {
	Name            string
	Namespace       string
	ServerInfo      ServerInfo
	Username        string
	Credentials     RepositoryServerCredentials
	Address         string
	ContentCacheMB  int
	MetadataCacheMB int
}

type ServerInfo struct {
	PodName     string `json:"podName,omitempty"`
	ServiceName string `json:"serviceName,omitempty"`
}

type RepositoryServerCredentials struct {
	ServerTLS        corev1.Secret
	ServerUserAccess corev1.Secret
}

type Phase struct {
	Secrets    map[string]corev1.Secret
	ConfigMaps map[string]corev1.ConfigMap
	Output     map[string]any
}

// decodeParameters reads the parameters. Whole numbers in Object, PodOverride and outputs become
// int64, as the API machinery has them: as a float64, 3000000 would print as 3e+06.
//
// Its errors name a field, never a value.
func decodeParameters(document json.RawMessage) (*TemplateParams, error) {
	var present map[string]json.RawMessage
	if err := kjson.UnmarshalCaseSensitivePreserveInts(document, &present); err != nil {
		return nil, fmt.Errorf("the parameters are no JSON object")
	}
	parameters := &TemplateParams{}
	fields := reflect.ValueOf(parameters).Elem()
	for name, value := range present {
		if _, known := fields.Type().FieldByName(name); !known {
			return nil, fmt.Errorf("there is no parameter %q", name)
		}
		into := fields.FieldByName(name).Addr().Interface()
		if err := kjson.UnmarshalCaseSensitivePreserveInts(value, into); err != nil {
			return nil, fmt.Errorf("the parameter %s does not have the fields that it should", name)
		}
	}
	return parameters, nil
}
