package main

import (
	"encoding/json"
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	kjson "sigs.k8s.io/json"
)

// templateParams is what templates can name: Kanister's param.TemplateParams, with the same names,
// types and JSON (pkg/param/param.go; RepositoryServer as in the last version that had it). A
// pointer that is nil makes a template fail that looks behind it, a map that is nil does not.
//
// Its JSON is documented in reconcilers/actionset/templates/__init__.py.
type templateParams struct {
	StatefulSet      *workload
	DeploymentConfig *workload
	Deployment       *workload
	PVC              *named
	Namespace        *named
	ArtifactsIn      map[string]artifact
	ConfigMaps       map[string]corev1.ConfigMap
	Secrets          map[string]corev1.Secret
	Time             string
	Profile          *profile
	RepositoryServer *repositoryServer
	Options          map[string]string
	Object           map[string]any
	CurrentPhase     *phase
	Phases           map[string]*phase
	DeferPhase       *phase
	PodOverride      map[string]any
	PodAnnotations   map[string]string
	PodLabels        map[string]string
}

type workload struct {
	Name                   string
	Namespace              string
	Pods                   []string
	Containers             [][]string
	PersistentVolumeClaims map[string]map[string]string
}

type named struct {
	Name      string
	Namespace string
}

type artifact struct {
	KeyValue      map[string]string `json:"keyValue,omitempty"`
	KopiaSnapshot string            `json:"kopiaSnapshot,omitempty"`
}

type profile struct {
	Location      location
	Credential    credential
	SkipSSLVerify bool
}

type location struct {
	Type     string `json:"type"`
	Bucket   string `json:"bucket"`
	Endpoint string `json:"endpoint"`
	Prefix   string `json:"prefix"`
	Region   string `json:"region"`
}

type credential struct {
	Type              string
	KeyPair           *keyPair
	Secret            *corev1.Secret
	KopiaServerSecret *kopiaServerSecret
}

type keyPair struct {
	ID     string
	Secret string
}

type kopiaServerSecret struct {
	Username       string
	Hostname       string
	Password       string
	Cert           string
	ConnectOptions map[string]int
}

type repositoryServer struct {
	Name            string
	Namespace       string
	ServerInfo      serverInfo
	Username        string
	Credentials     repositoryServerCredentials
	Address         string
	ContentCacheMB  int
	MetadataCacheMB int
}

type serverInfo struct {
	PodName     string `json:"podName,omitempty"`
	ServiceName string `json:"serviceName,omitempty"`
}

type repositoryServerCredentials struct {
	ServerTLS        corev1.Secret
	ServerUserAccess corev1.Secret
}

type phase struct {
	Secrets    map[string]corev1.Secret
	ConfigMaps map[string]corev1.ConfigMap
	Output     map[string]any
}

// decodeParameters reads the parameters. Whole numbers in Object, PodOverride and outputs become
// int64, as the API machinery has them: as a float64, 3000000 would print as 3e+06.
//
// Its errors name a field, never a value.
func decodeParameters(document json.RawMessage) (*templateParams, error) {
	var present map[string]json.RawMessage
	if err := kjson.UnmarshalCaseSensitivePreserveInts(document, &present); err != nil {
		return nil, fmt.Errorf("the parameters are no JSON object")
	}
	parameters := &templateParams{}
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
