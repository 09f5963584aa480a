# The built shop with its production packages, for an external PostgreSQL.
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
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
# The git commit, for `shop_build_info`: there is no repository in the build's context.
ARG REVISION=unknown
RUN npm run build

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY packages/cluster-metrics/package.json ./packages/cluster-metrics/
# The optional packages hold the embedded PostgreSQL, which the image does not need.
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --omit=optional

FROM ${NODE_IMAGE}
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Fake Shop" \
      org.opencontainers.image.description="A clustered Node.js shop with truthful Prometheus metrics" \
      org.opencontainers.image.vendor="TechCommerce" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="${REVISION}"

# tini is process 1: it forwards signals and reaps orphaned processes, which Node.js does not.
RUN apt-get update \
    && apt-get install -y --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o node -g node /data

# Listen on all of the container's addresses: which ports are published decides who can read the metrics.
ENV NODE_ENV=production \
    DATA_DIR=/data \
    METRICS_HOST=0.0.0.0

WORKDIR /app
COPY package.json knexfile.js LICENSE ./
COPY --from=dependencies /app/node_modules ./node_modules
COPY public ./public
COPY --from=build /app/dist ./dist

USER node
# 5000: the shop. 9464: metrics and status.
EXPOSE 5000 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.METRICS_PORT || 9464}/readyz`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["tini", "--"]
CMD ["node", "--enable-source-maps", "dist/src/main.js"]
