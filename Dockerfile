# The image of Isthmus: `serve` by default, and `audit`, `detect` and the rest as its arguments.
#
#   docker build -t isthmus:0.1.0 .                                    # CUDA
#   docker build -t isthmus:0.1.0-cpu --build-arg ACCELERATOR=cpu .    # without CUDA
#
# Both stand on a slim Python: torch's wheels bring their own CUDA libraries, and NVIDIA's container toolkit brings the
# driver, so a base with CUDA in it would hold all of that twice. Linux on x86-64; deploy/locks says which versions.
ARG ACCELERATOR=cuda
# Pinned by its digest with --build-arg PYTHON_IMAGE=python:3.11.16-slim-bookworm@sha256:…
ARG PYTHON_IMAGE=python:3.11.16-slim-bookworm


FROM ${PYTHON_IMAGE} AS tools
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_NO_INPUT=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv --without-pip /opt/isthmus


FROM tools AS dependencies-cuda
COPY deploy/locks/cuda.txt ./
RUN python -m pip --python /opt/isthmus/bin/python install --require-hashes --no-deps --only-binary :all: -r cuda.txt


FROM tools AS dependencies-cpu
# Hashes are locked, so no index can bring in anything else.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY deploy/locks/cpu.txt ./
RUN python -m pip --python /opt/isthmus/bin/python install --require-hashes --no-deps --only-binary :all: \
        --extra-index-url "${TORCH_INDEX}" -r cpu.txt


# hadolint ignore=DL3006
FROM dependencies-${ACCELERATOR} AS dependencies
RUN python -m pip --python /opt/isthmus/bin/python check


FROM tools AS application
COPY deploy/locks/build.txt ./
RUN python -m pip install --require-hashes --no-deps --only-binary :all: -r build.txt
COPY pyproject.toml README.md LICENSE ./
COPY service service
COPY detector detector
COPY models models
# Under a root of its own: the application is a small layer above that of its dependencies.
RUN python -m hatchling build -t wheel -d dist \
    && python -m pip --python /opt/isthmus/bin/python install --no-deps --no-index --root /application dist/*.whl


FROM ${PYTHON_IMAGE} AS isthmus
# What could fetch or build code stays behind, and there is a user to be.
RUN python -m pip uninstall --yes --quiet --root-user-action ignore setuptools wheel pip \
    && rm -r "$(python -c 'import ensurepip, os; print(os.path.dirname(ensurepip.__file__))')" \
    && groupadd --gid 10001 isthmus \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin isthmus \
    && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/isthmus
COPY --from=dependencies /opt/isthmus /opt/isthmus
COPY --from=application /application /
COPY deploy/image/healthcheck.py /opt/isthmus/healthcheck.py

# Only /tmp and the state folder need to be writable; any user number can run it. Which GPUs are seen is for whoever
# starts it to say: NVIDIA_VISIBLE_DEVICES here would open all of a node to pods that asked for none.
ENV PATH=/opt/isthmus/bin:$PATH \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    USER=isthmus \
    XDG_CACHE_HOME=/tmp/cache \
    XDG_CONFIG_HOME=/tmp/config \
    MPLCONFIGDIR=/tmp/matplotlib \
    TORCH_HOME=/tmp/torch \
    TORCHINDUCTOR_CACHE_DIR=/tmp/torchinductor \
    TRITON_CACHE_DIR=/tmp/triton \
    CUDA_CACHE_PATH=/tmp/cuda \
    RAY_USAGE_STATS_ENABLED=0 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    ISTHMUS_HOST=0.0.0.0 \
    ISTHMUS_PORT=8080 \
    ISTHMUS_METRICS_PORT=9090 \
    ISTHMUS_STATE=/var/lib/isthmus \
    ISTHMUS_KEYS_FILE=/etc/isthmus/keys
WORKDIR /tmp
VOLUME ["/var/lib/isthmus"]
EXPOSE 8080 9090
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["/opt/isthmus/bin/python", "-I", "/opt/isthmus/healthcheck.py"]
ENTRYPOINT ["isthmus"]
CMD ["serve"]

# Last, so that a new revision does not make the layers above anew.
ARG PYTHON_IMAGE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Isthmus" \
      org.opencontainers.image.description="Detects adversarial images by the paths that join them to their class in input space" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"
