'use strict';
const { spawn, spawnSync } = require('node:child_process');
const { createHash } = require('node:crypto');
const { once } = require('node:events');
const fs = require('node:fs');
const { join, relative } = require('node:path');

const HOUR_MS = 3_600_000;
const NOT_OURS = ['EACCES', 'EPERM', 'EROFS'];
/** Code of the error of a program that has printed its problem. */
const FAILED = 'BUILD_FAILED';

const root = join(__dirname, '..');
/** A symbolic link to the current build. One rename replaces all of it, and a running process keeps its own build. */
const dist = join(root, 'dist');
/** Folder of the builds. Each is named after the hash of its sources. */
const builds = join(root, '.builds');
/** The sources of a build; the versions of the npm packages count too. */
const SOURCES = [
  'packages/cluster-metrics/src',
  'packages/cluster-metrics/package.json',
  'packages/cluster-metrics/tsconfig.build.json',
  'src',
  'seeds',
  'templates',
  'scripts',
  'docs/operations.md',
  'knexfile.ts',
  'tsconfig.json',
  'tsconfig.build.json',
];
/** The registry's package in the sources. */
const registry = join(root, 'packages/cluster-metrics');
/** The registry's package in a build. Each build has its own, which the shop's code imports by name. */
const BUILT_REGISTRY = 'node_modules/@techcommerce/cluster-metrics';
/** Runs in browsers, so it is bundled by itself. */
const LIVE_CLIENT = 'src/ops/live/client';

const project = JSON.parse(fs.readFileSync(join(root, 'package.json'), 'utf8'));

/**
 * Builds the shop into `dist` if its sources have changed. Exits with one sentence if it can't.
 *
 * @param {boolean} forTests whether the development packages must be installed too
 */
async function build(forTests) {
  const missing = findMissing(project.dependencies) ?? (forTests ? findMissing(project.devDependencies) : undefined);
  const devToo = forTests && process.env.NODE_ENV === 'production' ? ' --include=dev' : '';
  if (missing) fail(`The packages in node_modules are not complete (${missing}): run "npm ci${devToo}" first.`);

  const wanted = join(builds, fingerprint());
  try {
    if (!fs.existsSync(wanted)) await compile(wanted);
    recordRevision(wanted);
    if (linkTarget() !== wanted) putInPlace(wanted);
  } catch (error) {
    if (error.code === FAILED) fail(error.message);
    if (!NOT_OURS.includes(error.code)) throw error;
    fail(
      `The shop's sources have changed and ${root} can't be written (${error.message}): run "npm run build" as its owner.`,
    );
  }
}

/** Describes the first package that is missing or has another version than in package.json. */
function findMissing(packages) {
  for (const [name, wanted] of Object.entries(packages)) {
    const found = installedVersion(name);
    if (found === undefined) return `${name} is missing`;
    if (found !== wanted) return `${name} is ${found} instead of ${wanted}`;
  }
  return undefined;
}

function installedVersion(name) {
  try {
    const { version } = JSON.parse(fs.readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8'));
    // npm takes `v1.2.3` for `1.2.3`, and Grafana's SDK is published so.
    return version.replace(/^v/, '');
  } catch {
    return undefined;
  }
}

/** @param {string[]} others files and folders that a build is not made from */
function fingerprint(...others) {
  const hash = createHash('sha256').update(JSON.stringify([project.dependencies, project.devDependencies]));
  for (const file of [...SOURCES, ...others].flatMap(filesBelow)) {
    const content = fs.readFileSync(join(root, file));
    hash.update(`${file} ${content.length}\n`).update(content);
  }
  return hash.digest('hex').slice(0, 16);
}

/** Paths from the root, sorted; without an editor's hidden files. */
function filesBelow(path) {
  if (!fs.statSync(join(root, path)).isDirectory()) return [path];
  return fs
    .readdirSync(join(root, path))
    .filter((name) => !name.startsWith('.'))
    .sort()
    .flatMap((name) => filesBelow(join(path, name)));
}

/** Compiles into a draft folder and renames it when complete, so that each build in the folder is whole. */
async function compile(target) {
  if (installedVersion('typescript') === undefined) {
    fail(
      'The shop is not built yet, and the compiler is missing, as "npm ci" leaves it out in production: run "npm ci --include=dev" and start again.',
    );
  }
  if (process.stderr.isTTY) process.stderr.write('Building the shop, as its sources have changed …\n');
  const draft = `${target}.${process.pid}`;
  fs.mkdirSync(draft, { recursive: true });
  try {
    // All are awaited before one fails the build: they write into the draft folder.
    const results = await Promise.allSettled([
      compileSources(draft),
      run(join(__dirname, 'live-client.cjs'), join(root, LIVE_CLIENT), join(draft, LIVE_CLIENT)),
      run(join(__dirname, 'templates.cjs'), join(root, 'templates'), join(draft, 'src/web/templates.cjs')),
      run(join(__dirname, 'templates.cjs'), join(root, 'templates/ops'), join(draft, 'src/ops/live/templates.cjs')),
      run(join(__dirname, 'runbook.mjs'), join(draft, 'src/ops/live/runbook.html')),
    ]);
    const failed = results.find(({ status }) => status === 'rejected');
    if (failed) throw failed.reason;
    fs.renameSync(draft, target);
  } catch (error) {
    // Another process has finished the same build.
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  } finally {
    fs.rmSync(draft, { recursive: true, force: true });
  }
}

async function compileSources(draft) {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const builtRegistry = join(draft, BUILT_REGISTRY);
  await run(tsc, '-p', join(registry, 'tsconfig.build.json'), '--outDir', join(builtRegistry, 'dist'), '--sourceMap');
  fs.copyFileSync(join(registry, 'package.json'), join(builtRegistry, 'package.json'));
  await run(tsc, '-p', shopConfig(draft, join(builtRegistry, 'dist/index.d.ts')));
}

/**
 * Records the build's git commit, for `shop_build_info`. Not part of the fingerprint: the same sources at another commit
 * need no new build. Without git, the commit that an earlier run recorded stays.
 */
function recordRevision(target) {
  const file = join(target, 'src/revision.txt');
  const noted = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : undefined;
  const revision = process.env.REVISION || revisionOfGit() || noted || 'unknown';
  if (revision === noted) return;
  const draft = `${file}.${process.pid}`;
  try {
    fs.writeFileSync(draft, revision);
    fs.renameSync(draft, file);
  } catch (error) {
    // Another user made this build, from the same sources at another commit.
    if (noted === undefined || !NOT_OURS.includes(error.code)) throw error;
  }
}

/** @returns the checked-out commit, with `-dirty` appended if the tree differs from it; undefined without git */
function revisionOfGit() {
  // Without this check, git would take a parent folder's repository.
  if (!fs.existsSync(join(root, '.git'))) return undefined;
  const commit = git('rev-parse', 'HEAD');
  // Untracked files count too, since the compiler also takes those.
  const changes = git('--no-optional-locks', 'status', '--porcelain');
  return commit && changes !== undefined ? `${commit}${changes && '-dirty'}` : undefined;
}

function git(...args) {
  const { status, stdout } = spawnSync('git', args, { cwd: root, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

/** Writes a tsconfig that builds the shop into the draft, against the built registry. @returns its path */
function shopConfig(draft, registryTypes) {
  const path = join(draft, 'tsconfig.json');
  const paths = { '@techcommerce/cluster-metrics': [registryTypes] };
  const config = { extends: join(root, 'tsconfig.build.json'), compilerOptions: { outDir: draft, paths } };
  fs.writeFileSync(path, JSON.stringify(config));
  return path;
}

async function run(program, ...args) {
  const [status] = await once(spawn(process.execPath, [program, ...args], { stdio: 'inherit' }), 'exit');
  if (status !== 0) throw Object.assign(new Error('The build failed: the lines above say where.'), { code: FAILED });
}

function linkTarget() {
  try {
    return join(root, fs.readlinkSync(dist));
  } catch {
    return undefined;
  }
}

function putInPlace(target) {
  const former = linkTarget();
  const link = `${dist}.${process.pid}`;
  fs.symlinkSync(relative(root, target), link);
  // Older versions of the shop built into a real folder.
  if (fs.lstatSync(dist, { throwIfNoEntry: false })?.isDirectory()) {
    fs.renameSync(dist, join(builds, `former.${process.pid}`));
  }
  fs.renameSync(link, dist);
  linkRegistry();
  try {
    removeOthers(target, former);
  } catch {
    // Another user owns them. They do no harm.
  }
}

/** Links the built package into the sources: tests, benchmarks and examples import it by name from there. */
function linkRegistry() {
  const link = join(registry, 'dist');
  const target = relative(registry, join(dist, BUILT_REGISTRY, 'dist'));
  const found = fs.lstatSync(link, { throwIfNoEntry: false });
  if (found?.isSymbolicLink() && fs.readlinkSync(link) === target) return;
  fs.rmSync(link, { recursive: true, force: true });
  fs.symlinkSync(target, link);
}

/** Removes old builds, but for those of the last hour: a process may still be loading one. */
function removeOthers(target, former) {
  const now = new Date();
  if (former && fs.existsSync(former)) fs.utimesSync(former, now, now);
  for (const name of fs.readdirSync(builds)) {
    const folder = join(builds, name);
    if (folder === target || fs.statSync(folder, { throwIfNoEntry: false })?.mtimeMs > now - HOUR_MS) continue;
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

function fail(sentence) {
  process.stderr.write(`${sentence}\n`);
  process.exit(1);
}

module.exports = { build, fingerprint };
