# Wardhouse as an image: `docker build -t wardhouse .`, or through compose/.
#
# The dependencies are a layer of their own, which only Cargo.toml files and Cargo.lock make anew: a change of the code compiles
# the workspace's own crates. The first build compiles everything in the release profile, which takes long.

ARG RUST_IMAGE=rust:1.95.0-slim-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-20260803-slim

FROM ${RUST_IMAGE} AS chef
WORKDIR /build
# librdkafka is built from source with make, and links OpenSSL, which its SCRAM wants.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential libssl-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo install cargo-chef --version 0.1.77 --locked

# What the dependencies are, without the code.
FROM chef AS plan
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS build
COPY --from=plan /build/recipe.json recipe.json
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo chef cook --release --locked --package wardhouse --recipe-path recipe.json
COPY . .
# Here and not earlier: another commit does not compile the dependencies again.
ARG WARDHOUSE_COMMIT=unknown
ENV WARDHOUSE_COMMIT=${WARDHOUSE_COMMIT}
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo build --release --locked --package wardhouse

FROM ${RUNTIME_IMAGE}
# Roots for servers with public certificates; with them come libssl3 and the program openssl, which compose/credentials/make runs.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libssl3 openssl \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 wardhouse \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/wardhouse --shell /usr/sbin/nologin wardhouse \
    && install -d -o 10001 -g 10001 -m 0750 /var/lib/wardhouse
COPY --from=build /build/target/release/wardhouse /usr/local/bin/wardhouse
COPY --chmod=0755 compose/healthcheck /usr/local/bin/wardhouse-healthcheck

ARG WARDHOUSE_VERSION=0.1.0
ARG WARDHOUSE_COMMIT=unknown
LABEL org.opencontainers.image.title="wardhouse" \
      org.opencontainers.image.description="Hospital transactions scored with reasons, kept in five stores, queried as one SQL database" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/wardhouse/wardhouse" \
      org.opencontainers.image.version="${WARDHOUSE_VERSION}" \
      org.opencontainers.image.revision="${WARDHOUSE_COMMIT}"

# The folder of the embedded stores; with servers for every role, nothing is written there but the progress of imports.
ENV WARDHOUSE_DATA=/var/lib/wardhouse \
    WARDHOUSE_OPERATIONS__LISTEN=0.0.0.0:9600 \
    WARDHOUSE_HTTP__LISTEN=0.0.0.0:8080
WORKDIR /var/lib/wardhouse
USER 10001:10001
EXPOSE 8080 9600
STOPSIGNAL SIGTERM
# Ready: every stage of the process runs. A process that serves no operations port (`sql`, `migrate`) switches the check off.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["wardhouse-healthcheck"]
ENTRYPOINT ["wardhouse"]
CMD ["--help"]
