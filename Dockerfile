# The built shop with its production packages, for an external PostgreSQL.
# docs/releasing.md says how to build a release from it, and how to pin both bases by digest.
FROM node:24-trixie-slim AS node

FROM node AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY packages/cluster-metrics/package.json ./packages/cluster-metrics/
RUN --mount=type=cache,target=/root/.npm npm ci
COPY tsconfig.json tsconfig.build.json knexfile.ts ./
COPY packages/cluster-metrics/tsconfig.build.json ./packages/cluster-metrics/
COPY packages/cluster-metrics/src ./packages/cluster-metrics/src
COPY scripts ./scripts
COPY seeds ./seeds
COPY src ./src
COPY templates ./templates
COPY docs/operations.md ./docs/
# The git commit, for `shop_build_info`: there is no repository in the build's context.
ARG REVISION=unknown
RUN npm run build && find dist/ -type f \( -name '*.map' -o -name '*.ts' \) -delete

FROM node AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY packages/cluster-metrics/package.json ./packages/cluster-metrics/
# The optional packages hold the embedded PostgreSQL, which the image does not need. The build has its own registry
# package, so the link to the workspace's goes.
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --omit=optional \
    && find node_modules -type f \( -name '*.map' -o -name '*.ts' -o -name '*.mts' -o -name '*.cts' \) -delete \
    && rm -r node_modules/@techcommerce

# The same Debian as Node.js' image, without its npm, corepack and yarn: a layer that removes them would not shrink it.
FROM debian:trixie-slim
# tini is process 1: it forwards signals and reaps orphaned processes, which Node.js does not.
RUN apt-get update \
    && apt-get install -y --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 1000 node \
    && useradd --uid 1000 --gid node --no-create-home --home-dir /app --shell /usr/sbin/nologin node \
    && install -d -o node -g node /data
COPY --from=node /usr/local/bin/node /usr/local/bin/

# Listen on all of the container's addresses: which ports are published decides who can read the metrics.
ENV NODE_ENV=production \
    DATA_DIR=/data \
    METRICS_HOST=0.0.0.0 \
    PATH=/app/node_modules/.bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

WORKDIR /app
COPY package.json knexfile.js LICENSE ./
COPY --from=dependencies /app/node_modules ./node_modules
COPY public ./public
COPY --from=build /app/dist ./dist

USER node
# 5000: the shop. 9464: metrics and status.
EXPOSE 5000 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s --retries=3 \
    CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.METRICS_PORT || 9464}/readyz`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["tini", "--"]
# Without --enable-source-maps: the image holds no source maps. The built code has the sources' names and no bundling.
CMD ["node", "dist/src/main.js"]

# Last, because they differ from build to build.
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="Fake Shop" \
      org.opencontainers.image.description="A clustered Node.js shop with truthful Prometheus metrics" \
      org.opencontainers.image.vendor="TechCommerce" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
