module repository-server-controller/hack/tools/pause

go 1.26
