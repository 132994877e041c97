"""Plays Blueprints of kinds that the public ones of the folder may not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import yaml
from structlog.testing import capture_logs

from fakes import publicblueprints
from fakes.blueprintplay import Play

if TYPE_CHECKING:
    from fakes.blueprintplay import Played
    from reconcilers.actionset.templates.renderer import Renderer

#: What a command finds out is the folder of the backups, which go to all pods and back.
RING: Final = """
actions:
  backup:
    outputArtifacts:
      ring:
        keyValue:
          info: "{{ .Phases.save.Output.BackupAllInfo }}"
          nodeCount: "{{ .Phases.find.Output.nodeCount }}"
          finished: "{{ .DeferPhase.Output.finished }}"
    phases:
      - func: KubeExecAll
        name: find
        args:
          namespace: "{{ .StatefulSet.Namespace }}"
          pods: "{{ range .StatefulSet.Pods }} {{ . }}{{ end }}"
          containers: node
          command: [sh, -c, "ring-tool snapshot"]
      - func: BackupDataAll
        name: save
        args:
          namespace: "{{ .StatefulSet.Namespace }}"
          pods: "{{ range .StatefulSet.Pods }} {{ . }}{{ end }}"
          container: node
          includePath: "{{ .Phases.find.Output.snapshotLocation }}"
          backupArtifactPrefix: "{{ .Profile.Location.Bucket }}/ring"
    deferPhase:
      func: KubeTask
      args:
        namespace: "{{ .StatefulSet.Namespace }}"
        image: ring-tools
        command: [sh, -c, "ring-tool resume"]
  restore:
    inputArtifactNames: [ring]
    phases:
      - func: ScaleWorkload
        name: stop
        args: {replicas: 0}
      - func: RestoreDataAll
        name: fetch
        args:
          namespace: "{{ .StatefulSet.Namespace }}"
          image: ring-tools
          pods: "{{ range .StatefulSet.Pods }} {{ . }}{{ end }}"
          backupArtifactPrefix: "{{ .Profile.Location.Bucket }}/ring"
          backupInfo: "{{ .ArtifactsIn.ring.KeyValue.info }}"
      - func: ScaleWorkload
        name: start
        args:
          replicas: "{{ .ArtifactsIn.ring.KeyValue.nodeCount }}"
          waitForReady: "false"
  delete:
    inputArtifactNames: [ring]
    phases:
      - func: DeleteDataAll
        name: drop
        args:
          namespace: "{{ .Object.metadata.name }}"
          backupArtifactPrefix: ring
          backupInfo: "{{ .ArtifactsIn.ring.KeyValue.info }}"
          reclaimSpace: true
"""

#: An operator makes the backups of a custom resource.
OPERATED: Final = """
actions:
  backup:
    outputArtifacts:
      made:
        keyValue:
          apiVersion: "{{ .Phases.order.Output.apiVersion }}"
          group: "{{ .Phases.order.Output.group }}"
          resource: "{{ .Phases.order.Output.resource }}"
          name: "{{ .Phases.order.Output.name }}"
          namespace: "{{ .Phases.order.Output.namespace }}"
    phases:
      - func: KubeOps
        name: order
        args:
          operation: create
          namespace: "{{ .Object.metadata.namespace }}"
          spec: |
            apiVersion: backups.example/v1
            kind: Backup
            metadata:
              name: {{ .Object.spec.cluster.name }}-{{ .Object.metadata.name }}
            spec:
              of: {{ .Object.metadata.name }}
      - func: WaitV2
        name: await
        args:
          timeout: 10m
          conditions:
            allOf:
              - condition: '{{ if .status.finishTime }}true{{ end }}'
                objectReference: &made
                  apiVersion: "{{ .Phases.order.Output.apiVersion }}"
                  group: "{{ .Phases.order.Output.group }}"
                  resource: "{{ .Phases.order.Output.resource }}"
                  name: "{{ .Phases.order.Output.name }}"
                  namespace: "{{ .Phases.order.Output.namespace }}"
      - func: Wait
        name: awaitState
        args:
          timeout: 10m
          conditions:
            anyOf:
              - condition: '{{ eq "{ $.status.state }" "ready" }}'
                objectReference: *made
  delete:
    inputArtifactNames: [made]
    phases:
      - func: KubeOps
        name: cancel
        args:
          operation: delete
          objectReference:
            apiVersion: "{{ .ArtifactsIn.made.KeyValue.apiVersion }}"
            group: "{{ .ArtifactsIn.made.KeyValue.group }}"
            resource: "{{ .ArtifactsIn.made.KeyValue.resource }}"
            name: "{{ .ArtifactsIn.made.KeyValue.name }}"
            namespace: "{{ .ArtifactsIn.made.KeyValue.namespace }}"
"""


def play(renderer: Renderer, text: str) -> list[Played]:
    blueprint = yaml.safe_load(text)
    with capture_logs():
        return Play(renderer, blueprint, publicblueprints.cases_of(blueprint, "own")).run()


def test_what_a_command_has_found_is_backed_up_in_all_pods(renderer: Renderer) -> None:
    backup, restore, delete = play(renderer, RING)

    assert [backup.error, restore.error, delete.error] == ["", "", ""]
    assert backup.phases == ("find complete", "save complete", "deferPhase complete")
    assert backup.artifacts["ring"]["keyValue"]["finished"] == "output-finished"
    assert '"PodName": "db-0"' in backup.artifacts["ring"]["keyValue"]["info"]
    [saved] = [one for one in backup.asked if "BackupDataAll" in one]
    assert "--arg=includePath=/outputs/snapshotLocation" in saved
    assert restore.phases == ("stop complete", "fetch complete", "start complete")
    assert delete.phases == ("drop complete",)


def test_an_operator_is_asked_and_waited_for(renderer: Renderer) -> None:
    backup, delete = play(renderer, OPERATED)

    assert [backup.error, delete.error] == ["", ""]
    assert backup.phases == ("order complete", "await complete", "awaitState complete")
    assert backup.artifacts["made"]["keyValue"] == {
        "apiVersion": "v1",
        "group": "backups.example",
        "resource": "backups",
        "name": "value-of-name-db",
        "namespace": "shop",
    }
    assert delete.phases == ("cancel complete",)
