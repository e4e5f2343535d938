# The image of the operator, which is also that of the command line.
#
#   docker build -t docker.io/fairlead/operator:0.1.0 .                  packages come from the package index
#   make wheels && docker build -t docker.io/fairlead/operator:0.1.0 .   packages come from wheelhouse/: no network
#
# Either way exactly the versions and hashes of requirements/*.lock. Any base with Python 3.11, venv and pip will do.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# Neither gets a pip: the base's own installs into both, and nothing of it comes along.
RUN python3 -m venv --without-pip /opt/fairlead && python3 -m venv --without-pip /build/backend
COPY requirements/build.lock requirements/runtime.lock requirements/
COPY wheelhouse/ wheelhouse/
RUN set -e; \
    if ls wheelhouse/*.whl >/dev/null 2>&1; then export PIP_NO_INDEX=1 PIP_FIND_LINKS=/build/wheelhouse; fi; \
    install() { \
      python3 -m pip --python "$1/bin/python" install --no-compile --no-deps --only-binary :all: --require-hashes -r "$2"; \
    }; \
    install /opt/fairlead requirements/runtime.lock; \
    install /build/backend requirements/build.lock
# After the dependencies, which change less often than the code.
COPY pyproject.toml README.md LICENSE ./
COPY operator/ operator/
RUN set -e; export PIP_NO_INDEX=1; \
    python3 -m pip --python /build/backend/bin/python wheel --no-build-isolation --no-deps --wheel-dir dist .; \
    python3 -m pip --python /opt/fairlead/bin/python install --no-compile --no-deps dist/*.whl; \
    # Of the Kubernetes client only the loader of kubeconfigs is used. Its 1,900 models, and an API for each group, twice,
    # would be a third of the image; none of them is ever imported, which is tried below.
    find /opt/fairlead/lib/python3*/site-packages/kubernetes -type f -name '*.py' ! -name __init__.py \
      \( -path '*/client/models/*' -o -path '*/client/api/*' \) -delete; \
    # By hash and not by time: bytecode that no later copy of the files makes stale.
    python3 -m compileall -q --invalidation-mode unchecked-hash /opt/fairlead/lib

FROM ${BASE}
ARG BASE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Fairlead" \
      org.opencontainers.image.description="Operator of Fairlead, a Kubernetes-native data orchestrator" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="The Fairlead maintainers" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"
COPY --from=build /opt/fairlead /opt/fairlead
# The root file system is read-only later: what the standard library lacks in bytecode is compiled by importing it now.
# This also shows that the image can start, and read a kubeconfig. Then the tools that install things go, as nothing here installs any.
RUN printf '%s' '{"apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{"name": "u", "user": {}}], \
      "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}], \
      "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}]}' >/tmp/kubeconfig \
    && /opt/fairlead/bin/python -c "import fairlead.controllers.app, fairlead.cli.main, fairlead.controllers.authority" \
    && /opt/fairlead/bin/python -c "import asyncio, pathlib; from fairlead.kube.credentials import load_credentials; \
      asyncio.run(load_credentials(kubeconfig=pathlib.Path('/tmp/kubeconfig')))" \
    && rm /tmp/kubeconfig \
    && rm -rf /usr/local/bin/pip* /usr/bin/pip* \
      /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/site-packages/setuptools* \
      /usr/local/lib/python3*/site-packages/wheel* /usr/local/lib/python3*/ensurepip \
      /usr/lib/python3/dist-packages/pip* /usr/lib/python3/dist-packages/setuptools* \
      /usr/lib/python3/dist-packages/wheel* /usr/lib/python3*/ensurepip /usr/share/python-wheels
# No user of this number is known, so none has a name or a home, which libraries ask for (kopf ends without a name).
ENV PATH=/opt/fairlead/bin:/usr/local/bin:/usr/bin:/bin \
    USER=fairlead HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /tmp
EXPOSE 8080
ENTRYPOINT ["/opt/fairlead/bin/fairlead"]
CMD ["operator"]
