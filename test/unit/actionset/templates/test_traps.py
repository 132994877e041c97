"""What Go's templates do that another language, or a guess, would do otherwise."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from reconcilers.actionset.templates.errors import TemplateError

if TYPE_CHECKING:
    from reconcilers.actionset.templates.renderer import Renderer

PLACE = "arguments of phase dump"
TIME = "2026-01-02T03:04:05.000000006Z"


def secret(**data: str) -> dict[str, Any]:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    metadata = {"name": "credentials", "namespace": "app", "labels": {"tier": "db"}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded}


PROFILE = {
    "Location": {"type": "s3Compliant", "bucket": "b", "endpoint": "", "prefix": "", "region": ""},
    "Credential": {"Type": "keyPair", "KeyPair": {"ID": "<id>", "Secret": "a&b"}},
    "SkipSSLVerify": False,
}

PARAMETERS = {
    "StatefulSet": {
        "Name": "db",
        "Namespace": "app",
        "Pods": ["db-0", "db-1"],
        "Containers": [["postgres", "tools"], ["postgres"]],
        "PersistentVolumeClaims": {"db-0": {"data-db-0": "/data"}},
    },
    "Object": {
        "metadata": {
            "name": "db",
            "generation": 3000000,
            "labels": {"app.kubernetes.io/name": "x"},
        },
        "spec": {"ratio": 1.5, "replicas": 3, "suspend": False, "paused": None},
    },
    "ArtifactsIn": {"dump": {"keyValue": {"path": "p/q"}, "kopiaSnapshot": '{"id":"1"}'}},
    "ConfigMaps": {"location": {"metadata": {"name": "l"}, "data": {"bucket": "b"}}},
    "Secrets": {"db": secret(password="s3cr3t")},
    "Profile": PROFILE,
    "Options": {"image": "i", "empty": ""},
    "Time": TIME,
    "Phases": {
        "dump": {"Output": {"id": "42", "count": 3}, "Secrets": {"db": secret(password="inner")}},
        "take-two": {"Output": {"id": "43"}},
    },
    "DeferPhase": {"Output": {"id": "44"}},
    "PodLabels": {"a": "b"},
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        pytest.param(
            '{{ if index .Options "lacking" }}a{{ else }}b{{ end }}',
            "b",
            id="`index` of an option that is lacking is empty: the way to ask for one",
        ),
        pytest.param(
            '{{ index .PodAnnotations "x" }}', "", id="`index` of a map that is not set is empty"
        ),
        pytest.param(
            '{{ index .Object.metadata "x" }}',
            "<no value>",
            id="`index` of a key that the object lacks prints `<no value>`",
        ),
        pytest.param("{{ .Options.empty }}", "", id="an option that is empty is there"),
        pytest.param(
            "{{ .Object.metadata.generation }}", "3000000", id="a whole number prints as one"
        ),
        pytest.param("{{ .Object.spec.ratio }}", "1.5", id="a number with a point is a float"),
        pytest.param(
            "{{ add .Object.spec.replicas 1 }}", "4", id="one can count with a number of the object"
        ),
        pytest.param(
            "{{ eq .Object.spec.replicas 3 }}", "true", id="a whole number equals one of Go"
        ),
        pytest.param("{{ .Object.spec.paused }}", "<no value>", id="null prints `<no value>`"),
        pytest.param(
            '{{ index .Object.metadata.labels "app.kubernetes.io/name" }}',
            "x",
            id="a key with points is found by `index`",
        ),
        pytest.param(
            "{{ .Secrets.db.Data.password | toString }}", "s3cr3t", id="a Secret's value is bytes"
        ),
        pytest.param(
            "{{ .Secrets.db.Data.password }}",
            "[115 51 99 114 51 116]",
            id="bytes without toString print as numbers",
        ),
        pytest.param(
            "{{ toJson .Secrets.db.Data }}",
            '{"password":"czNjcjN0"}',
            id="bytes are base64 in JSON",
        ),
        pytest.param(
            "{{ .Secrets.db.Name }} {{ .Secrets.db.Labels.tier }}",
            "credentials db",
            id="a Secret's metadata are its own fields",
        ),
        pytest.param(
            "{{ .ConfigMaps.location.Data.bucket }}", "b", id="a ConfigMap's value is text"
        ),
        pytest.param(
            "{{ .ArtifactsIn.dump.KeyValue.path }} {{ .ArtifactsIn.dump.KopiaSnapshot }}",
            'p/q {"id":"1"}',
            id="an artifact has Go's names",
        ),
        pytest.param(
            "{{ toJson .ArtifactsIn.dump.KeyValue }}", '{"path":"p/q"}', id="and the API's in JSON"
        ),
        pytest.param("{{ .Profile.Location.Bucket }}", "b", id="a location has Go's names as well"),
        pytest.param(
            "{{ if .Profile.Credential.Secret }}a{{ else }}b{{ end }}",
            "b",
            id="a credential of another kind is not set",
        ),
        pytest.param(
            "{{ toJson .Profile }}",
            '{"Location":{"type":"s3Compliant","bucket":"b","endpoint":"","prefix":"",'
            '"region":""},"Credential":{"Type":"keyPair","KeyPair":{"ID":"\\u003cid\\u003e",'
            '"Secret":"a\\u0026b"},"Secret":null,"KopiaServerSecret":null},"SkipSSLVerify":false}',
            id="a Profile in JSON is what kando reads: Go's order, names, nulls and escapes",
        ),
        pytest.param(
            "{{ range $claim, $_ := index .StatefulSet.PersistentVolumeClaims "
            "(index .StatefulSet.Pods 0) }}{{ $claim }}{{ end }}",
            "data-db-0",
            id="claims are a map of maps",
        ),
        pytest.param(
            "{{ index (index .StatefulSet.Containers 0) 1 }}", "tools", id="containers are by pod"
        ),
        pytest.param("{{ .Phases.dump.Output.count }}", "3", id="an output may be a number"),
        pytest.param(
            '{{ (index .Phases "take-two").Output.id }}',
            "43",
            id="a phase with a dash is found by `index`",
        ),
        pytest.param("{{ .DeferPhase.Output.id }}", "44", id="the deferPhase is by itself"),
        pytest.param(
            '{{ toDate "2006-01-02T15:04:05.999999999Z07:00" .Time | date "2006-01-02T15-04-05" }}',
            "2026-01-02T03-04-05",
            id="a time is read and written by layouts of Go",
        ),
        pytest.param(
            '{{ dateInZone "15:04" (toDate "2006-01-02T15:04:05.999999999Z07:00" .Time) '
            '"Europe/Berlin" }}',
            "04:04",
            id="time zones are known, whatever the image has",
        ),
        pytest.param(
            '{{ .StatefulSet.Name | upper | replace "D" "_" }}', "_B", id="a pipeline of sprig"
        ),
        pytest.param('{{ "a" | quote }}', '"a"', id="quote"),
        pytest.param(
            "a{{- if true }}\n b\n{{- end }}", "a\n b", id="trim markers take the space around"
        ),
        pytest.param(
            "{{ range $i, $p := .StatefulSet.Pods }}{{ if $i }},{{ end }}{{ $p }}{{ end }}",
            "db-0,db-1",
            id="a list is joined in order",
        ),
        pytest.param(
            "{{ $found := false }}{{ range .StatefulSet.Pods }}{{ $found = true }}{{ break }}"
            "{{ end }}{{ $found }}",
            "true",
            id="a variable is assigned inside of a loop, which break ends",
        ),
        pytest.param("{ $.status }", "{ $.status }", id="one brace is no template"),
        pytest.param("a\tü\n", "a\tü\n", id="text stays as it is"),
    ],
)
def test_it_renders(renderer: Renderer, template: str, text: str) -> None:
    assert renderer.render(PARAMETERS, template, place=PLACE) == text


@pytest.mark.parametrize(
    ("template", "message"),
    [
        pytest.param(
            "{{ .Options.lacking }}",
            'Failed to render template: "lacking" not found',
            id="an option that is lacking, in Kanister's words",
        ),
        pytest.param(
            "{{ .Phases.other.Output.id }}",
            'Failed to render template: "other" not found',
            id="a phase that has not run",
        ),
        pytest.param(
            "{{ .Object.metadata.uid }}",
            'Failed to render template: "uid" not found',
            id="a field that the object lacks",
        ),
        pytest.param(
            "{{ .Deployment.Name }}",
            "<.Deployment.Name>: nil pointer evaluating *Workload.Name",
            id="a field of what is not set, though Options would be empty",
        ),
        pytest.param(
            "{{ .CurrentPhase.Output }}",
            "nil pointer evaluating *Phase.Output",
            id="the phase that runs, which Kanister knows only after it has rendered",
        ),
        pytest.param(
            "{{ .ArtifactsOut.dump }}",
            "can't evaluate field ArtifactsOut in type TemplateParams",
            id="what there never was",
        ),
        pytest.param(
            "{{ .Options.a-b }}", "bad character U+002D '-'", id="a dash is no part of a path"
        ),
        pytest.param("{{ toYaml .Options }}", 'function "toYaml" not defined', id="Helm's toYaml"),
        pytest.param(
            '{{ fromJson "{}" }}', 'function "fromJson" not defined', id="a later sprig's fromJson"
        ),
        pytest.param('{{ env "HOME" }}', 'function "env" not defined', id="no environment"),
        pytest.param(
            '{{ expandenv "$HOME" }}', 'function "expandenv" not defined', id="nor by another name"
        ),
        pytest.param(
            '{{ getHostByName "localhost" }}',
            'function "getHostByName" not defined',
            id="no network",
        ),
        pytest.param(
            '{{ bcrypt "a" }}', "Kanister refuses this function", id="bcrypt, as Kanister has it"
        ),
        pytest.param('{{ htpasswd "a" "b" }}', "Kanister refuses this function", id="htpasswd"),
        pytest.param(
            '{{ derivePassword 1 "long" "a" "b" "c" }}',
            "Kanister refuses this function",
            id="derivePassword",
        ),
        pytest.param(
            '{{ genPrivateKey "dsa" }}', "Kanister refuses this function", id="a key of DSA"
        ),
        pytest.param(
            "{{ index .StatefulSet.Pods 7 }}", "index out of range", id="a pod that is not there"
        ),
        pytest.param("{{ if }}", "missing value for if", id="what does not parse"),
        pytest.param(
            '{{ b64dec "/w==" }}', "no text in UTF-8; use b64enc", id="bytes that are no text"
        ),
    ],
)
def test_it_is_refused(renderer: Renderer, template: str, message: str) -> None:
    with pytest.raises(TemplateError) as refused:
        renderer.render(PARAMETERS, {"command": ["sh", template]}, place=PLACE)

    assert refused.value.message.startswith(f"{PLACE}, command[1]: ")
    assert message in refused.value.message


@pytest.mark.parametrize(
    ("tree", "rendered"),
    [
        pytest.param(
            {"image": "{{ .Options.image }}", "{{ .Options.image }}": 1},
            {"image": "i", "i": 1},
            id="keys are rendered too",
        ),
        pytest.param(
            [True, None, 3, 1.5, 12345678901234567890, "{{ .Options.image }}"],
            [True, None, 3, 1.5, 12345678901234567890, "i"],
            id="what is no text stays as it is; Kanister ends at a null",
        ),
        pytest.param(
            {"a": [{"b": ["{{ .Options.image }}"]}], "c": {}},
            {"a": [{"b": ["i"]}], "c": {}},
            id="at any depth",
        ),
        pytest.param("{{ 3 }}", "3", id="what is rendered is text, also a number"),
    ],
)
def test_of_a_tree_the_strings_are_rendered(renderer: Renderer, tree: Any, rendered: Any) -> None:
    assert renderer.render(PARAMETERS, tree, place=PLACE) == rendered


@pytest.mark.parametrize(
    ("parameters", "tree", "message"),
    [
        pytest.param(
            {},
            {"labels": {"a": "1", "{{ print `a` }}": "2"}},
            "arguments, labels.{{ print `a` }}: another key beside this one renders to the same",
            id="two keys that become one, of which Kanister takes one by chance",
        ),
        pytest.param(
            {"Statefulset": {}},
            "",
            'arguments: there is no parameter "Statefulset"',
            id="a parameter in other letters, which nobody would find",
        ),
        pytest.param(
            {"Options": {"a": 1}},
            "",
            "arguments: the parameter Options does not have the fields that it should",
            id="an option that is no text",
        ),
    ],
)
def test_what_is_wrong_is_named(
    renderer: Renderer, parameters: Any, tree: Any, message: str
) -> None:
    with pytest.raises(TemplateError) as refused:
        renderer.render(parameters, tree, place="arguments")

    assert refused.value.message.startswith(message)


def test_a_repository_server_in_json_is_what_old_kando_reads(renderer: Renderer) -> None:
    server = {
        "Name": "s",
        "Namespace": "n",
        "ServerInfo": {"podName": "p", "serviceName": "q"},
        "Username": "u",
        "Credentials": {"ServerTLS": secret(), "ServerUserAccess": secret(host="word")},
        "Address": "https://q.n.svc.cluster.local:51515",
        "ContentCacheMB": 1,
        "MetadataCacheMB": 2,
    }

    text = renderer.render({"RepositoryServer": server}, "{{ toJson .RepositoryServer }}", place="")

    read = json.loads(text)
    assert list(read) == list(server)
    assert read["Credentials"]["ServerUserAccess"]["data"] == {"host": "d29yZA=="}
    assert read["ServerInfo"] == server["ServerInfo"]
