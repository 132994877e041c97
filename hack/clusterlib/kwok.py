"""What kwok, which stands for kubelets, is told to do to pods and nodes."""

from __future__ import annotations

from typing import Any, Final

Object = dict[str, Any]

#: Status of a pod that runs and is Ready, as a kubelet would write it in the end; `Now` and
#: `PodIPsWith` are kwok's.
RUNNING: Final = """\
{{ $now := Now }}
{{ $addresses := PodIPsWith .spec.nodeName false .metadata.uid .metadata.name .metadata.namespace }}
phase: Running
podIP: {{ index $addresses 0 | Quote }}
podIPs:
- ip: {{ index $addresses 0 | Quote }}
startTime: {{ $now | Quote }}
conditions:
- {type: PodReadyToStartContainers, status: "True", lastTransitionTime: {{ $now | Quote }}}
- {type: Initialized, status: "True", lastTransitionTime: {{ $now | Quote }}}
- {type: ContainersReady, status: "True", lastTransitionTime: {{ $now | Quote }}}
- {type: Ready, status: "True", lastTransitionTime: {{ $now | Quote }}}
- {type: PodScheduled, status: "True", lastTransitionTime: {{ $now | Quote }}}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: {{ .image | Quote }}
  ready: true
  started: true
  restartCount: 0
  state: {running: {startedAt: {{ $now | Quote }}}}
{{ end }}
"""


def stage(name: str, kind: str, expressions: list[Object], then: Object) -> Object:
    """Return one thing that kwok does.

    Args:
        name: its name.
        kind: of the objects that it is done to.
        expressions: what must hold of such an object.
        then: what is done.
    """
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": kind},
            "selector": {"matchExpressions": expressions},
            "next": then,
        },
    }
