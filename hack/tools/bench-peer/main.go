// Command bench-peer does what repository-server-controller does, as far as Kubernetes goes, on
// controller-runtime. hack/bench scale measures the two side by side.
package main

import (
	"errors"
	"flag"
	"net/http"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

func main() {
	namespace := flag.String("namespace", "default", "namespace to serve")
	image := flag.String("server-image", "kopia/kopia:0.23.1", "image with Kopia")
	workers := flag.Int("workers", 10, "reconciles at once")
	metrics := flag.String("metrics-bind-address", ":8080", "address of /metrics")
	probes := flag.String("health-probe-bind-address", ":8081", "address of /readyz")
	flag.Parse() // --kubeconfig is controller-runtime's own
	ctrl.SetLogger(zap.New())
	if err := run(*namespace, *image, *workers, *metrics, *probes); err != nil {
		ctrl.Log.Error(err, "stopping")
		os.Exit(1)
	}
}

func run(namespace, image string, workers int, metrics, probes string) error {
	ctx := ctrl.SetupSignalHandler()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), addToScheme(scheme)); err != nil {
		return err
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                 scheme,
		Metrics:                metricsserver.Options{BindAddress: metrics},
		HealthProbeBindAddress: probes,
		Cache: cache.Options{
			DefaultNamespaces: map[string]cache.Config{namespace: {}},
			DefaultTransform:  cache.TransformStripManagedFields(),
		},
	})
	if err != nil {
		return err
	}
	reconciler := &Reconciler{
		Client:   mgr.GetClient(),
		live:     mgr.GetAPIReader(),
		recorder: mgr.GetEventRecorder(manager),
		image:    image,
	}
	if err := reconciler.setup(ctx, mgr, workers); err != nil {
		return err
	}
	secret := &metav1.PartialObjectMetadata{}
	secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	watched := []client.Object{
		&RepositoryServer{}, &appsv1.ReplicaSet{}, &corev1.Pod{}, &corev1.Service{}, &networkingv1.NetworkPolicy{}, secret,
	}
	informers := make([]cache.Informer, 0, len(watched))
	for _, object := range watched {
		informer, err := mgr.GetCache().GetInformer(ctx, object)
		if err != nil {
			return err
		}
		informers = append(informers, informer)
	}
	err = mgr.AddReadyzCheck("informers", func(*http.Request) error {
		for _, informer := range informers {
			if !informer.HasSynced() {
				return errors.New("an informer has not synced")
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return mgr.Start(ctx)
}
