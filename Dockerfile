# The shop for an external PostgreSQL: plain JavaScript, production packages, no database inside.
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
# The optional packages are the embedded PostgreSQL's programs.
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --omit=optional

FROM ${NODE_IMAGE}
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Fake Shop" \
      org.opencontainers.image.description="A clustered Node.js shop with truthful Prometheus metrics" \
      org.opencontainers.image.vendor="TechCommerce" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.revision="${REVISION}"

# The first process must reap orphans and pass signals on, which Node.js does not do for processes it did not start.
RUN apt-get update \
    && apt-get install -y --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o node -g node /data

# In a container the metrics must be reachable from outside it; which port is published decides who may read them.
ENV NODE_ENV=production \
    DATA_DIR=/data \
    METRICS_HOST=0.0.0.0

WORKDIR /app
COPY package.json knexfile.js LICENSE ./
COPY --from=dependencies /app/node_modules ./node_modules
COPY public ./public
COPY --from=build /app/dist ./dist

USER node
# The shop; metrics and status.
EXPOSE 5000 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.METRICS_PORT || 9464}/readyz`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["tini", "--"]
CMD ["node", "--enable-source-maps", "dist/src/main.js"]
