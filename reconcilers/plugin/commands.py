"""What each command does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from attrs import frozen

from controller.clock import Deadline
from reconcilers import resources
from reconcilers.actionset import api
from reconcilers.errors import InvalidInput
from reconcilers.plugin import (
    actionsets,
    connecting,
    gather,
    listing,
    references,
    report,
    statusscreen,
    waiting,
)
from reconcilers.plugin.cluster import NotAllowed, explained
from reconcilers.plugin.exits import BAD_NEWS, DONE, USAGE, PluginError
from reconcilers.plugin.options import JSON
from reconcilers.repositoryserver import connection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.resource import Object
    from reconcilers.plugin.cluster import Cluster
    from reconcilers.plugin.connecting import Account
    from reconcilers.plugin.options import Options
    from reconcilers.plugin.screen import Paint
    from reconcilers.plugin.streams import Streams

INVALID: Final = "RepositoryServer {namespace}/{name}: {message}"
NO_POD: Final = (
    "RepositoryServer {namespace}/{name} has no pod; see kubectl reposerver status {name}"
)
OTHER_PODS: Final = "log of pod {pod}; choose another by --pod: {others}"
NO_LOG: Final = "pod {pod} has written nothing; see kubectl reposerver status {name}"
RESTARTING: Final = (
    "RepositoryServer {namespace}/{name} restarts: its present pod serves until the next is ready"
)
IS_PAUSED: Final = (
    "RepositoryServer {namespace}/{name} is paused, so that nothing would happen; set spec.paused "
    "to false first"
)
OLD_CRD: Final = (
    "the CRD of RepositoryServers is older than this program and has no field spec.server.restart; "
    "apply manifests/crd, or delete the server's pod"
)
MADE: Final = "ActionSet {namespace}/{name} created"
COMPLETE: Final = "ActionSet {namespace}/{name} is complete"
NOT_AVAILABLE: Final = (
    "clients cannot connect to RepositoryServer {namespace}/{name}: {message}; wait until they "
    "can, or give --skip-validation"
)


@frozen
class Commands:
    """The commands, over what they need.

    Args:
        cluster: The API server.
        streams: What they write to.
        paint: Colours of what they print.
    """

    cluster: Cluster
    streams: Streams
    paint: Paint

    def run(self, options: Options) -> int:
        """Do what the command line asks for, and return the exit code.

        Args:
            options: The command line.

        Raises:
            PluginError: It cannot be done.
        """
        commands: Mapping[str, Callable[[Options], int]] = {
            "list": self._list,
            "status": self._status,
            "connect": self._connect,
            "logs": self._logs,
            "restart": self._restart,
            "backup": self._act,
            "restore": self._act,
            "delete": self._act,
            "wait": self._wait,
        }
        try:
            return commands[options.command](options)
        except InvalidInput as error:
            named = {"namespace": self.cluster.namespace, "name": options.name or options.server}
            raise PluginError(INVALID.format(**named, message=error.message)) from None

    def _list(self, options: Options) -> int:
        everywhere = options.all_namespaces
        namespace = "" if everywhere else self.cluster.namespace
        found = self.cluster.list(connection.RESOURCE, namespace)
        if options.output == JSON:
            self.streams.put_out_json(listing.document(found))
        elif found:
            now = self.cluster.clock.now()
            self.streams.put_out(listing.screen(found, now, self.paint, namespaces=everywhere))
        else:
            where = "all namespaces" if everywhere else f"namespace {namespace}"
            self.streams.say(listing.NONE.format(where=where))
        return DONE

    def _status(self, options: Options) -> int:
        found = report.of(gather.facts(self.cluster, options.name))
        if options.output == JSON:
            self.streams.put_out_json(statusscreen.document(found))
        else:
            now = self.cluster.clock.now()
            self.streams.put_out(statusscreen.screen(found, now, self.paint))
        return DONE if found.available else BAD_NEWS

    def _connect(self, options: Options) -> int:
        if options.user and not all(options.user.partition("@")):
            raise PluginError(connecting.BAD_USER.format(user=options.user), USAGE)
        obj = gather.server(self.cluster, options.name)
        account = connecting.choose(obj, self._accounts(obj, options.user), options.user)
        found = connecting.way(
            obj,
            account,
            local_port=options.local_port,
            cluster=connecting.Cluster(options.kubeconfig, options.context),
        )
        if options.output == JSON:
            self.streams.put_out_json(connecting.document(found))
            return DONE
        self.streams.put_out(connecting.script(found))
        if not options.local_port:
            self.streams.say(connecting.IN_CLUSTER)
        reached = connection.of(obj)
        if not reached.available:
            self.streams.say(connecting.UNAVAILABLE.format(message=reached.message))
        return DONE

    def _accounts(self, obj: Object, user: str) -> list[Account]:
        """Return who may connect; for one who may not read the Secrets, where a user must be."""
        try:
            return gather.accounts(self.cluster, obj)
        except NotAllowed:
            if not user:
                raise
            return connecting.presumed(obj, user)

    def _logs(self, options: Options) -> int:
        namespace, pod = self.cluster.namespace, options.pod or self._newest_pod(options.name)
        # Until it is interrupted, if it is followed.
        deadline = Deadline(self.cluster.clock, math.inf)
        written = False
        with (
            explained("get", resources.PODS, namespace, pod, "log"),
            self.cluster.logs.open(
                namespace, pod, connection.CONTAINER, deadline=deadline, follow=options.follow
            ) as stream,
        ):
            for piece in stream:
                written = True
                self.streams.stdout.write(piece)
                self.streams.stdout.flush()
        if not written:
            # That of a pod without a node is empty as well (registry/core/pod/strategy.go,
            # LogLocation), which is no error.
            self.streams.say(NO_LOG.format(pod=pod, name=options.name))
        return DONE

    def _newest_pod(self, name: str) -> str:
        gather.server(self.cluster, name)
        pods = gather.pods(self.cluster, name)
        if not pods:
            raise PluginError(NO_POD.format(namespace=self.cluster.namespace, name=name))
        newest, *others = sorted(
            pods, key=lambda one: one["metadata"].get("creationTimestamp", ""), reverse=True
        )
        pod: str = newest["metadata"]["name"]
        if others:
            names = ", ".join(one["metadata"]["name"] for one in others)
            self.streams.say(OTHER_PODS.format(pod=pod, others=names))
        return pod

    def _restart(self, options: Options) -> int:
        namespace, name = self.cluster.namespace, options.name
        named = {"namespace": namespace, "name": name}
        if gather.server(self.cluster, name)["spec"].get("paused"):
            raise PluginError(IS_PAUSED.format(**named))
        text = self.cluster.clock.now().isoformat(timespec="seconds")
        body = {"spec": {"server": {"restart": text}}}
        written = self.cluster.patch(connection.RESOURCE, namespace, name, body)
        if written["spec"]["server"].get("restart") != text:
            raise PluginError(OLD_CRD)
        self.streams.put_out([RESTARTING.format(**named)])
        return DONE

    def _act(self, options: Options) -> int:
        namespace, wanted = self.cluster.namespace, _wanted(options, self.cluster.namespace)
        if options.parent:
            parent = self.cluster.get(api.ACTION_SETS, namespace, options.parent)
            body = actionsets.child(parent, wanted)
        else:
            body = actionsets.new(wanted)
        if not options.skip_validation:
            self._validate(body, wanted)
        if options.dry_run:
            self.streams.put_out_json(body)
            return DONE
        made = self.cluster.create(api.ACTION_SETS, namespace, body)
        name: str = made["metadata"]["name"]
        if options.output == JSON:
            self.streams.put_out_json(made)
        else:
            self.streams.put_out([MADE.format(namespace=namespace, name=name)])
        return self._wait_for(options, name) if options.wait else DONE

    def _validate(self, body: Object, wanted: actionsets.Wanted) -> None:
        """Refuse what cannot work, before it is an ActionSet that has failed."""
        for name in dict.fromkeys(action["blueprint"] for action in body["spec"]["actions"]):
            blueprint = self.cluster.get(api.BLUEPRINTS, self.cluster.namespace, name)
            actionsets.check_action(blueprint, wanted)
        if server := actionsets.server_of(body):
            found = connection.of(self.cluster.get(connection.RESOURCE, *server))
            if not found.available:
                namespace, name = server
                raise PluginError(
                    NOT_AVAILABLE.format(namespace=namespace, name=name, message=found.message)
                )

    def _wait(self, options: Options) -> int:
        return self._wait_for(options, options.name)

    def _wait_for(self, options: Options, name: str) -> int:
        waiting.wait(self.cluster, name, options.timeout, self.streams.say)
        complete = COMPLETE.format(namespace=self.cluster.namespace, name=name)
        if options.output == JSON:
            # A program reads one document.
            self.streams.say(complete)
        else:
            self.streams.put_out([complete])
        return DONE


def _wanted(options: Options, namespace: str) -> actionsets.Wanted:
    """Return what the command line says of an ActionSet.

    Raises:
        PluginError: A value is not of its option's form.
    """
    return actionsets.Wanted(
        action=options.action,
        name=options.action_set,
        blueprint=options.blueprint,
        objects=[
            target
            for option, texts in options.targets.items()
            for target in references.targets(option, texts)
        ],
        options=references.pairs("options", options.settings),
        secrets=references.references("secrets", options.secrets),
        config_maps=references.references("config-maps", options.config_maps),
        profile=references.named("profile", options.profile, namespace)
        if options.profile
        else None,
        server=references.named("server", options.server, namespace) if options.server else None,
        labels=references.pairs("labels", options.labels),
    )
