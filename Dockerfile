# The image of the controller and of the data functions. Where a registry is reached:
# docker build -t repository-server-controller .
# Where none is: hack/images build, which gives a base image, Kopia's image, one with the renderer of
# templates and the wheels made on the machine.
ARG BASE_IMAGE=docker.io/library/python:3.11-slim
ARG KOPIA_IMAGE=docker.io/kopia/kopia:0.23.1
ARG GO_IMAGE=docker.io/library/golang:1.26
# An image with /bin/template-renderer, in place of the stage that builds it.
ARG RENDERER_IMAGE=built-renderer

FROM ${KOPIA_IMAGE} AS kopia

FROM ${GO_IMAGE} AS built-renderer
WORKDIR /source
COPY reconcilers/actionset/renderer ./
RUN CGO_ENABLED=0 go build -mod=readonly -trimpath -ldflags "-s -w" -o /bin/template-renderer .

FROM ${RENDERER_IMAGE} AS renderer

FROM ${BASE_IMAGE} AS build
# Both are read by pip itself; empty, it asks its usual index.
ARG PIP_NO_INDEX=
ARG PIP_FIND_LINKS=
ARG PIP_NO_CACHE_DIR=1
# The time of the wheel's files, so that the same commit gives the same wheel.
ARG SOURCE_DATE_EPOCH=315532800
WORKDIR /source
COPY requirements/runtime.txt requirements/build.txt requirements/
# Nothing comes from an index but what requirements/ has the hash of. Bytecode names no time of its
# source, which is another in each build, and its order of sets is always the same.
RUN python3 -m venv --without-pip /opt/controller \
    && python3 -m venv /opt/pip \
    && /opt/pip/bin/pip install --require-hashes -r requirements/build.txt \
    && /opt/pip/bin/pip --python /opt/controller/bin/python install --no-compile --require-hashes \
        -r requirements/runtime.txt \
    && PYTHONHASHSEED=0 /opt/controller/bin/python -m compileall -q \
        --invalidation-mode unchecked-hash /opt/controller/lib
COPY LICENSE README.md pyproject.toml setup.cfg ./
COPY controller controller
COPY reconcilers reconcilers
RUN /opt/pip/bin/pip wheel --no-build-isolation --no-deps --wheel-dir /wheel . \
    && /opt/pip/bin/pip --python /opt/controller/bin/python install --no-index --no-deps --no-compile \
        --prefix /package /wheel/*.whl \
    && PYTHONHASHSEED=0 /opt/controller/bin/python -m compileall -q \
        --invalidation-mode unchecked-hash -s /package -p /opt/controller /package

FROM ${BASE_IMAGE}
# Of the data functions, which are Kopia's clients. The controller runs no Kopia of its own.
COPY --from=kopia /bin/kopia /bin/kopia
# Of the controller of ActionSets.
COPY --from=renderer /bin/template-renderer /bin/template-renderer
# Apart, so that a changed line of code makes a small layer.
COPY --from=build /opt/controller /opt/controller
COPY --from=build /package /opt/controller
# Logs appear when they are written; bytecode is in the image, whose file system may be read-only.
ENV PATH=/opt/controller/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# Any other user will do as well. Data functions run as one who may read what is backed up, and as root
# where a restore has to set owners.
USER 65532:65532
ENTRYPOINT ["repository-server-controller"]
