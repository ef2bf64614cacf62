# The service and what it runs on, nothing else. One image for every environment: what differs is
# in the variables (docs/configuration.md).
#
#   docker build -t agentcore-bff .
#   docker build --secret id=ca,src=corporate-ca.pem -t agentcore-bff .   # behind a private CA
ARG PYTHON=3.13

FROM docker.io/library/python:${PYTHON}-slim-bookworm AS build
WORKDIR /build
COPY requirements/image.txt ./
# Every file is one of the lock's, and none is built here: a package without a wheel for the platform
# fails the build instead of asking for a compiler.
RUN --mount=type=secret,id=ca \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi \
    && python -m venv --without-pip /opt/venv \
    && python -m pip --python /opt/venv/bin/python install --disable-pip-version-check \
        --no-cache-dir --root-user-action ignore --only-binary :all: --require-hashes \
        --requirement image.txt
COPY bff ./bff
RUN python -m compileall -q bff

FROM docker.io/library/python:${PYTHON}-slim-bookworm
LABEL org.opencontainers.image.title="agentcore-bff" \
      org.opencontainers.image.description="A chat API in front of any AWS Bedrock AgentCore agent" \
      org.opencontainers.image.licenses="MIT"
# No installer in what runs. The standard library is compiled here, since nothing can be written later
# and a quarter of a CPU takes seconds for it, at every start and every health check. The user has a
# number and no name, so that Kubernetes' runAsNonRoot can tell; data/ is for a try with SQLite.
RUN rm -rf /usr/local/lib/python3*/site-packages/* /usr/local/lib/python3*/ensurepip \
        /usr/local/lib/python3*/idlelib /usr/local/lib/python3*/tkinter /usr/local/bin/pip* \
    && python -m compileall -q /usr/local/lib/python3* \
    && install -d -o 10001 -g 10001 /app/data
COPY --from=build /opt/venv /opt/venv
COPY --from=build /build/bff /app/bff
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/app \
    HOST=0.0.0.0 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /app
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# For who runs it by hand; ECS and Kubernetes have checks of their own.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import http.client as h, os; c = h.HTTPConnection('127.0.0.1', int(os.environ.get('PORT', 8000)), timeout=4); c.request('GET', '/health'); raise SystemExit(c.getresponse().status != 200)"]
CMD ["python", "-m", "bff"]
