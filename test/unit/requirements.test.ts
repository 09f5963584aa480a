import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import requirements from '../../scripts/requirements.cjs';
import { projectRoot } from '../../src/paths.ts';

const read = (path: string) => readFileSync(join(projectRoot, path), 'utf8');

test('a Node.js that is too old gets one sentence with the version that is needed', () => {
  for (const version of ['0.10.48', '8.17.0', '18.20.8', '20.0.0', '20.11.1', '21.3.0']) {
    const sentence = requirements.complaint(version, 'linux') ?? '';
    assert.match(sentence, /^Fake Shop needs Node\.js 20\.12 or newer, and this is Node\.js [\d.]+: .*nvm install 24/);
    assert.ok(sentence.includes(` ${version}:`));
  }
  for (const version of ['20.12.0', '20.20.2', '21.4.0', '22.0.0', '24.11.1', '30.1.0']) {
    assert.equal(requirements.complaint(version, 'linux'), undefined, version);
    assert.equal(requirements.complaint(version, 'darwin'), undefined, version);
  }
});

test('Windows without WSL gets one sentence that names WSL 2 and Docker', () => {
  assert.match(requirements.complaint('24.0.0', 'win32') ?? '', /^[^\n]*WSL 2[^\n]*Docker[^\n]*$/);
});

test('npm, nvm, the image, the hosted checks and the documents name the same versions', () => {
  const project = JSON.parse(read('package.json')) as { engines: { node: string } };
  assert.equal(project.engines.node, '>=20.12');
  assert.match(read('.npmrc'), /^engine-strict=true$/m);
  assert.equal(read('.nvmrc').trim(), '24');
  assert.match(read('Dockerfile'), /^FROM node:24-/m);
  const workflow = read('.github/workflows/ci.yml');
  assert.match(workflow, /^ +node: \['20\.12', '24', /m);
  const actions = Array.from(workflow.matchAll(/^ +- uses: (.+)$/gm), ([, action = '']) => action);
  assert.ok(actions.length > 2);
  for (const action of actions) assert.match(action, /^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
  for (const document of ['README.md', 'README.pt-BR.md', 'CONTRIBUTING.md']) {
    assert.match(read(document), /Node\.js 20\.12/, document);
    assert.match(read(document), /WSL 2/, document);
  }
});

test('npm start and npm test check the requirements and build first', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  for (const [name, command] of Object.entries(scripts)) {
    // Any shell has these commands. `exec` is left out because it runs after the check.
    if (/^start/.test(name)) assert.match(command, /^node scripts\/build\.cjs && exec node /);
    if (/^test/.test(name)) assert.match(command, /^node scripts\/build\.cjs --with-tests && exec (env \S+ )?node /);
    assert.doesNotMatch(name, /^(pre|post)/, 'with ignore-scripts, npm would leave it out');
  }
});
