import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { projectRoot } from '../../src/paths.ts';
import { startPrometheus } from '../support/prometheus.ts';
import { until } from '../support/wait.ts';

/** A port of a pod's container, as discovery in Kubernetes describes it. */
function containerPort(pod: string, name: string, port: number, labels: Record<string, string> = {}) {
  return {
    targets: [`127.0.0.1:${port}`],
    labels: {
      __meta_kubernetes_namespace: 'shop',
      __meta_kubernetes_pod_name: pod,
      __meta_kubernetes_pod_node_name: 'node-1',
      __meta_kubernetes_pod_phase: 'Running',
      __meta_kubernetes_pod_label_app_kubernetes_io_name: 'fake-shop',
      __meta_kubernetes_pod_container_port_name: name,
      ...labels,
    },
  };
}

// Debian's Prometheus is built without discovery in Kubernetes, so its results come from the configuration. It is also too
// old for the settings of native histograms.
test("kubernetes.yml keeps the primary's port of each running pod of the shop, and no other", async (t) => {
  const text = readFileSync(join(projectRoot, 'monitoring/prometheus/kubernetes.yml'), 'utf8');
  const { global, scrape_configs, ...others } = parse(text);
  const { scrape_native_histograms, ...known } = global;
  const [{ kubernetes_sd_configs, always_scrape_classic_histograms, ...job }] = scrape_configs;
  assert.equal(scrape_native_histograms && always_scrape_classic_histograms, true);
  assert.deepEqual(kubernetes_sd_configs, [{ role: 'pod', namespaces: { names: ['fake-shop'] } }]);
  const prometheus = await startPrometheus(t, {
    config: {
      ...others,
      global: known,
      scrape_configs: [
        {
          ...job,
          static_configs: [
            containerPort('shop-a', 'http', 5000),
            containerPort('shop-a', 'metrics', 9464),
            containerPort('shop-b', 'metrics', 9465),
            containerPort('migrate', 'metrics', 9466, { __meta_kubernetes_pod_phase: 'Succeeded' }),
            containerPort('other', 'metrics', 9467, { __meta_kubernetes_pod_label_app_kubernetes_io_name: 'other' }),
          ],
        },
      ],
    },
    files: { 'secrets/metrics-token': 'none' },
  });
  const targets = await until('it has targets', async () => {
    const found = await prometheus.targets();
    return found.length > 0 && found;
  });
  const labels = targets.map((target) => target.labels);
  const common = { job: 'fake-shop', namespace: 'shop', node: 'node-1' };
  assert.deepEqual(
    labels.sort((a, b) => ((a.pod ?? '') < (b.pod ?? '') ? -1 : 1)),
    [
      { ...common, instance: '127.0.0.1:9464', pod: 'shop-a' },
      { ...common, instance: '127.0.0.1:9465', pod: 'shop-b' },
    ],
  );
});
