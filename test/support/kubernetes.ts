import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { projectRoot } from '../../src/paths.ts';
import { temporaryFolder } from './system.ts';

/** Any object of Kubernetes: tests read what they need. */
export interface KubernetesObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string> };
  // biome-ignore lint/suspicious/noExplicitAny: the schemas are what checks these objects
  [field: string]: any;
}

/** For a program that takes a second on a machine with nothing else to do. */
const DEADLINE_MS = 120_000;

const { KUBERNETES_TOOLS: tools } = process.env;

/** For the option `skip` of tests that need kubectl or the schemas. */
export const withoutKubernetesTools =
  tools === undefined && 'kubectl and the schemas are no dependencies of this project: see .ci/kubernetes-tools';

/** The package that has the schema of an API group; Kubernetes' own groups are in the first. */
const PACKAGES: Record<string, string> = {
  'monitoring.coreos.com': '@kubernetes-models/prometheus-operator',
  'gateway.networking.k8s.io': '@kubernetes-models/gateway-api',
};

/** Runs the kustomize that is in kubectl. @param path folder of a kustomization, from the project's root */
export function build(path: string): KubernetesObject[] {
  const { status, stdout, stderr } = spawnSync(join(tools as string, 'kubectl'), ['kustomize', path], {
    cwd: projectRoot,
    encoding: 'utf8',
    timeout: DEADLINE_MS,
  });
  assert.equal(status, 0, `kubectl kustomize ${path}: ${stderr}`);
  return parseObjects(stdout);
}

/** @throws when a document is no YAML */
export function parseObjects(text: string): KubernetesObject[] {
  return parseAllDocuments(text, { merge: true }).map((document) => {
    if (document.errors[0]) throw document.errors[0];
    return document.toJS();
  });
}

/** The object of a kind and a name. @throws when there is not exactly one */
export function find(objects: readonly KubernetesObject[], kind: string, name = 'fake-shop'): KubernetesObject {
  const found = objects.filter((object) => object.kind === kind && object.metadata.name === name);
  assert.equal(found.length, 1, `${found.length} objects ${kind} ${name}`);
  return found[0] as KubernetesObject;
}

/**
 * What the schemas say against objects, a line each that begins with kind and name.
 *
 * In two ways: the packages' functions check values (required fields, formats, enumerations), but let unknown fields pass;
 * their types know all fields, and the compiler refuses any other in a literal.
 */
export async function schemaProblems(t: TestContext, objects: readonly KubernetesObject[]): Promise<string[]> {
  return [...valueProblems(objects), ...(await fieldProblems(t, objects))];
}

const VALIDATE = `
  import { text } from 'node:stream/consumers';
  const problems = [];
  for (const { module, object } of JSON.parse(await text(process.stdin))) {
    const Model = (await import(module))[object.kind];
    try {
      new Model(object).validate();
    } catch (error) {
      problems.push(object.kind + ' ' + object.metadata.name + ': ' + error.message);
    }
  }
  process.stdout.write(JSON.stringify(problems));
`;

function valueProblems(objects: readonly KubernetesObject[]): string[] {
  const input = JSON.stringify(objects.map((object) => ({ module: moduleOf(object), object })));
  const { status, stdout, stderr } = spawnSync(
    join(tools as string, 'node'),
    ['--input-type=module', '--eval', VALIDATE],
    { cwd: tools, input, encoding: 'utf8', timeout: DEADLINE_MS },
  );
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

async function fieldProblems(t: TestContext, objects: readonly KubernetesObject[]): Promise<string[]> {
  const folder = await temporaryFolder(t);
  await symlink(join(tools as string, 'node_modules'), join(folder, 'node_modules'));
  const compilerOptions = { module: 'nodenext', noEmit: true, strict: true, skipLibCheck: true, types: [] };
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['objects.ts'] }));
  // An object a line, so that the line of an error tells the object.
  const lines = objects.map((object, i) => {
    const type = `import('${moduleOf(object)}', { with: { 'resolution-mode': 'import' } }).I${object.kind}`;
    return `export const object${i}: ${type} = ${JSON.stringify(object)};`;
  });
  await writeFile(join(folder, 'objects.ts'), lines.join('\n'));
  const tsc = join(projectRoot, 'node_modules/.bin/tsc');
  const { signal, stdout } = spawnSync(tsc, ['--pretty', 'false', '--project', folder], {
    encoding: 'utf8',
    timeout: DEADLINE_MS,
  });
  assert.equal(signal, null, 'the compiler did not end');
  return stdout
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith(' '))
    .map((line) => {
      const [, at, message] = /^.*objects\.ts\((\d+),\d+\): error \w+: (.*)$/.exec(line) ?? [];
      const object = objects[Number(at) - 1];
      return object ? `${object.kind} ${object.metadata.name}: ${message}` : line;
    });
}

function moduleOf({ apiVersion }: KubernetesObject): string {
  const [group = ''] = apiVersion.split('/');
  return `${PACKAGES[group] ?? 'kubernetes-models'}/${apiVersion}`;
}
