/**
 * Writes the rules of `monitoring/prometheus/rules` as PrometheusRule objects, for the Prometheus Operator. Kustomize can
 * put a file into a ConfigMap, but not into a field of an object. Run it after each change of the rules:
 * `npm run kubernetes:rules`. `test/fleet/kubernetes.test.ts` fails when it was forgotten.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const project = fileURLToPath(new URL('../../', import.meta.url));
export const PROMETHEUS_RULES = 'deploy/kubernetes/components/prometheus-rule/prometheus-rules.yaml';
const SOURCES = 'monitoring/prometheus/rules';

/** @returns one object for each file of rules, with its comments */
export function renderPrometheusRules(): string {
  const files = readdirSync(join(project, SOURCES)).sort();
  const objects = files.map((file) => {
    const rules = readFileSync(join(project, SOURCES, file), 'utf8').trimEnd();
    return `apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: fake-shop-${file.replace(/\.yml$/, '')}
  labels:
    app.kubernetes.io/name: fake-shop
spec:
${rules.replace(/^(?=.)/gm, '  ')}
`;
  });
  return `# Generated from ${SOURCES} by \`npm run kubernetes:rules\`: change the files there.\n${objects.join('---\n')}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(join(project, PROMETHEUS_RULES), renderPrometheusRules());
}
