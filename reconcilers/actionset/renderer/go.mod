module repository-server-controller/reconcilers/actionset/renderer

go 1.26

require (
	github.com/Masterminds/sprig v2.22.0+incompatible
	k8s.io/api v0.37.1
	k8s.io/client-go v0.37.1
	sigs.k8s.io/json v0.0.0-20250730193827-2d320260d730
)
