# The image of Sallyport: Node.js, the bundle, nft for the init container, the libraries these need, and nothing else.
#   docker build -t sallyport .          npm run image does it without Docker (docs/guide/cluster.md)
# NODE_IMAGE is a Debian image with Node.js 24 and npm. Pin it by digest where builds must repeat.
ARG NODE_IMAGE=docker.io/library/node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
RUN command -v nft >/dev/null || { apt-get update && apt-get install -y --no-install-recommends nftables; }
WORKDIR /sallyport
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund --cache /tmp/npm && rm -rf /tmp/npm
COPY scripts scripts
COPY src src
RUN node scripts/build.ts && sh scripts/image-root.sh /image

FROM scratch
ARG VERSION=development
ARG REVISION=unknown
LABEL org.opencontainers.image.title="sallyport" \
  org.opencontainers.image.description="A Kubernetes ingress sidecar proxy: web clients with tokens and devices with certificates at one port, judged next to the app" \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}"
COPY --from=build /image /
ENV PATH=/usr/local/bin:/usr/sbin
USER 15190:15190
# V8 lets the space of new objects grow to 16 MiB, three times: 60 MiB more after a load, for no fewer instructions.
ENTRYPOINT ["/usr/local/bin/node", "--max-semi-space-size=8", "/sallyport/main.js"]
