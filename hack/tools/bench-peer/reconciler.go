package main

import (
	"context"
	"slices"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	indexSecret     = "secret"
	indexReplicaSet = "replicaset"

	labelManagedBy = "app.kubernetes.io/managed-by"
	labelServer    = "cr.kanister.io/repository-server"
	labelDigest    = "cr.kanister.io/digest"
)

// Reconciler keeps the children of a RepositoryServer as they should be.
type Reconciler struct {
	client.Client

	// Secrets are cached as metadata only; their data are read from the server when they changed.
	live     client.Reader
	recorder events.EventRecorder
	image    string

	// By types.NamespacedName, *known.
	remembered sync.Map
}

func (r *Reconciler) setup(ctx context.Context, mgr ctrl.Manager, workers int) error {
	index := func(obj client.Object) []string { return obj.(*RepositoryServer).inputs() }
	if err := mgr.GetFieldIndexer().IndexField(ctx, &RepositoryServer{}, indexSecret, index); err != nil {
		return err
	}
	replicaSet := func(obj client.Object) []string {
		return []string{obj.GetLabels()[labelServer] + "-" + obj.GetLabels()[labelDigest]}
	}
	if err := mgr.GetFieldIndexer().IndexField(ctx, &corev1.Pod{}, indexReplicaSet, replicaSet); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("repositoryserver").
		For(&RepositoryServer{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Owns(&appsv1.ReplicaSet{}).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(serverOf)).
		Owns(&corev1.Service{}).
		Owns(&networkingv1.NetworkPolicy{}).
		Owns(&corev1.Secret{}, builder.OnlyMetadata).
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.referring)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(r)
}

// serverOf returns the server that a pod runs for: the owner of its owner.
func serverOf(_ context.Context, pod client.Object) []reconcile.Request {
	if pod.GetLabels()[labelManagedBy] != manager {
		return nil
	}
	name := types.NamespacedName{Namespace: pod.GetNamespace(), Name: pod.GetLabels()[labelServer]}
	return []reconcile.Request{{NamespacedName: name}}
}

// referring returns the servers that refer to a Secret.
func (r *Reconciler) referring(ctx context.Context, secret client.Object) []reconcile.Request {
	var servers RepositoryServerList
	matching := client.MatchingFields{indexSecret: secret.GetName()}
	if err := r.List(ctx, &servers, client.InNamespace(secret.GetNamespace()), matching, client.UnsafeDisableDeepCopy); err != nil {
		return nil
	}
	requests := make([]reconcile.Request, 0, len(servers.Items))
	for i := range servers.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&servers.Items[i])})
	}
	return requests
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var server RepositoryServer
	if err := r.Get(ctx, req.NamespacedName, &server); err != nil {
		r.remembered.Delete(req.NamespacedName)
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !server.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	stable := types.NamespacedName{Namespace: server.Namespace, Name: "repo-server-" + server.Name}
	policy := render("networkPolicy", &server, &known{}, r.image)
	if err := r.ensure(ctx, stable, &networkingv1.NetworkPolicy{}, policy); err != nil {
		return ctrl.Result{}, err
	}
	in, err := r.ensureSecrets(ctx, &server, stable.Name+"-users")
	if err != nil {
		return ctrl.Result{}, err
	}
	pod, err := r.ensureReplicaSet(ctx, &server, in)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := r.ensure(ctx, stable, &corev1.Service{}, render("service", &server, in, r.image)); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, r.writeStatus(ctx, &server, in, pod, stable.Name)
}

// ensureSecrets reads the users' Secrets if they have changed, and applies what is made of them.
func (r *Reconciler) ensureSecrets(ctx context.Context, server *RepositoryServer, usersName string) (*known, error) {
	versions := ""
	for _, name := range server.inputs() {
		version, err := r.versionOf(ctx, server.Namespace, name)
		if err != nil {
			return nil, err
		}
		versions += version + "/"
	}
	key := client.ObjectKeyFromObject(server)
	if value, ok := r.remembered.Load(key); ok && value.(*known).versions == versions {
		in := value.(*known)
		_, snapshotErr := r.versionOf(ctx, server.Namespace, server.Name+"-"+in.digest)
		_, usersErr := r.versionOf(ctx, server.Namespace, usersName)
		if snapshotErr == nil && usersErr == nil {
			return in, nil
		}
	}
	secrets := make([]corev1.Secret, len(server.inputs()))
	for i, name := range server.inputs() {
		if err := r.live.Get(ctx, types.NamespacedName{Namespace: server.Namespace, Name: name}, &secrets[i]); err != nil {
			return nil, err
		}
	}
	data, in, err := secretData(server, secrets)
	if err != nil {
		return nil, reconcile.TerminalError(err)
	}
	in.versions = versions
	for template, name := range map[string]string{"users": usersName, "secret": server.Name + "-" + in.digest} {
		var cached metav1.PartialObjectMetadata
		cached.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
		key := types.NamespacedName{Namespace: server.Namespace, Name: name}
		if err := r.ensure(ctx, key, &cached, render(template, server, in, r.image, data...)); err != nil {
			return nil, err
		}
	}
	r.remembered.Store(key, in)
	return in, nil
}

// versionOf returns the version of a cached Secret.
func (r *Reconciler) versionOf(ctx context.Context, namespace, name string) (string, error) {
	var secret metav1.PartialObjectMetadata
	secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	err := r.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &secret)
	return secret.ResourceVersion, err
}

// ensureReplicaSet applies the ReplicaSet if it is not as it should be, and returns its cached pod, if any.
func (r *Reconciler) ensureReplicaSet(ctx context.Context, server *RepositoryServer, in *known) (*corev1.Pod, error) {
	name := types.NamespacedName{Namespace: server.Namespace, Name: server.Name + "-" + in.digest}
	var replicaSet appsv1.ReplicaSet
	if err := r.ensure(ctx, name, &replicaSet, render("replicaSet", server, in, r.image)); err != nil {
		return nil, err
	}
	if replicaSet.UID == "" {
		r.recorder.Eventf(server, nil, corev1.EventTypeNormal, "RevisionCreated", "Create", "created ReplicaSet %s", name.Name)
		return nil, nil
	}
	var pods corev1.PodList
	matching := client.MatchingFields{indexReplicaSet: name.Name}
	if err := r.List(ctx, &pods, client.InNamespace(name.Namespace), matching, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	for i := range pods.Items {
		if podReady(&pods.Items[i]) {
			return &pods.Items[i], nil
		}
	}
	return nil, nil
}

// ensure applies a child unless the cached one, which it fills in, is as it should be.
func (r *Reconciler) ensure(ctx context.Context, key types.NamespacedName, cached client.Object, wanted child) error {
	err := r.Get(ctx, key, cached)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	if err == nil && cached.GetAnnotations()[annotationApplied] == wanted.applied {
		return nil
	}
	object, err := wanted.object()
	if err != nil {
		return err
	}
	return r.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner(manager), client.ForceOwnership)
}

// steps are the conditions before Available and Ready.
var steps = []string{"ServerSetup", "RepositoryConnected", "ServerInitialized", "ClientUserInitialized", "ServerRefreshed"}

func (r *Reconciler) writeStatus(ctx context.Context, server *RepositoryServer, in *known, pod *corev1.Pod, stable string) error {
	before := server.DeepCopy()
	status, reason, progress, podName := metav1.ConditionUnknown, "Pending", "Pending", ""
	if pod != nil {
		status, reason, progress, podName = metav1.ConditionTrue, "Succeeded", "Ready", pod.Name
	}
	for _, step := range slices.Concat(steps, []string{"Available", "Ready"}) {
		meta.SetStatusCondition(&server.Status.Conditions, metav1.Condition{
			Type: step, Status: status, Reason: reason, ObservedGeneration: server.Generation,
			Message: "the server's pod and what belongs to it are in place",
		})
	}
	server.Status.Progress = progress
	server.Status.ObservedGeneration = server.Generation
	server.Status.ServerInfo = ServerInfo{
		PodName:           podName,
		ServiceName:       stable,
		NetworkPolicyName: stable,
		TLSFingerprint:    in.fingerprint,
	}
	if equality.Semantic.DeepEqual(before.Status, server.Status) {
		return nil
	}
	if err := r.Status().Patch(ctx, server, client.MergeFrom(before)); err != nil {
		return client.IgnoreNotFound(err)
	}
	if progress == "Ready" && before.Status.Progress != progress {
		r.recorder.Eventf(server, nil, corev1.EventTypeNormal, "ServerReady", "Reconcile", "clients can connect to service %s", stable)
	}
	return nil
}

func podReady(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue && pod.DeletionTimestamp.IsZero()
		}
	}
	return false
}
