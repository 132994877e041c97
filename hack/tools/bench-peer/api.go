package main

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var groupVersion = schema.GroupVersion{Group: "cr.kanister.io", Version: "v1alpha1"}

// SecretRef names a Secret of the same namespace.
type SecretRef struct {
	Name string `json:"name"`
}

// RepositoryServer has the fields of the custom resource that this program uses.
type RepositoryServer struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec struct {
		Storage struct {
			SecretRef SecretRef `json:"secretRef"`
		} `json:"storage"`
		Repository struct {
			RootPath          string    `json:"rootPath"`
			PasswordSecretRef SecretRef `json:"passwordSecretRef"`
		} `json:"repository"`
		Server struct {
			AdminSecretRef SecretRef `json:"adminSecretRef"`
			TLSSecretRef   SecretRef `json:"tlsSecretRef"`
			UserAccess     struct {
				Username            string    `json:"username"`
				UserAccessSecretRef SecretRef `json:"userAccessSecretRef"`
			} `json:"userAccess"`
		} `json:"server"`
	} `json:"spec"`
	Status RepositoryServerStatus `json:"status,omitempty"`
}

// RepositoryServerStatus is what the controller tells.
type RepositoryServerStatus struct {
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
	Progress           string             `json:"progress,omitempty"`
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	ServerInfo         ServerInfo         `json:"serverInfo,omitzero"`
}

// ServerInfo tells clients where the server is.
type ServerInfo struct {
	PodName           string `json:"podName,omitempty"`
	ServiceName       string `json:"serviceName,omitempty"`
	NetworkPolicyName string `json:"networkPolicyName,omitempty"`
	TLSFingerprint    string `json:"tlsFingerprint,omitempty"`
}

// inputs returns the names of the Secrets that the object refers to.
func (s *RepositoryServer) inputs() []string {
	return []string{
		s.Spec.Storage.SecretRef.Name,
		s.Spec.Repository.PasswordSecretRef.Name,
		s.Spec.Server.AdminSecretRef.Name,
		s.Spec.Server.TLSSecretRef.Name,
		s.Spec.Server.UserAccess.UserAccessSecretRef.Name,
	}
}

// DeepCopy returns a copy that shares nothing with the original.
func (s *RepositoryServer) DeepCopy() *RepositoryServer {
	out := new(RepositoryServer)
	*out = *s
	s.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	out.Status.Conditions = make([]metav1.Condition, len(s.Status.Conditions))
	for i := range s.Status.Conditions {
		s.Status.Conditions[i].DeepCopyInto(&out.Status.Conditions[i])
	}
	return out
}

// DeepCopyObject implements runtime.Object.
func (s *RepositoryServer) DeepCopyObject() runtime.Object { return s.DeepCopy() }

// RepositoryServerList is a list of them.
type RepositoryServerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`

	Items []RepositoryServer `json:"items"`
}

// DeepCopyObject implements runtime.Object.
func (l *RepositoryServerList) DeepCopyObject() runtime.Object {
	out := &RepositoryServerList{TypeMeta: l.TypeMeta}
	l.ListMeta.DeepCopyInto(&out.ListMeta)
	for i := range l.Items {
		out.Items = append(out.Items, *l.Items[i].DeepCopy())
	}
	return out
}

func addToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(groupVersion, &RepositoryServer{}, &RepositoryServerList{})
	metav1.AddToGroupVersion(scheme, groupVersion)
	return nil
}
