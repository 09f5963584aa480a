'use strict';
const { spawnSync } = require('node:child_process');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const { join, relative } = require('node:path');

const HOUR_MS = 3_600_000;
const NOT_OURS = ['EACCES', 'EPERM', 'EROFS'];

const root = join(__dirname, '..');
/** A symbolic link to the current build: one rename changes all of it, and each process keeps the build it began with. */
const dist = join(root, 'dist');
/** Each build is a folder in here, named after what it was made from. */
const builds = join(root, '.builds');
/** What a build is made from, beside the versions of the packages. */
const SOURCES = [
  'packages/cluster-metrics/src',
  'packages/cluster-metrics/package.json',
  'packages/cluster-metrics/tsconfig.build.json',
  'src',
  'seeds',
  'templates',
  'scripts',
  'knexfile.ts',
  'tsconfig.json',
  'tsconfig.build.json',
];
/** The package of the metrics, in the sources. */
const registry = join(root, 'packages/cluster-metrics');
/** The same in a build, where the shop's code finds it by its name: a build has all of itself. */
const BUILT_REGISTRY = 'node_modules/@techcommerce/cluster-metrics';

const project = JSON.parse(fs.readFileSync(join(root, 'package.json'), 'utf8'));

/**
 * Builds the shop into `dist` if its sources have changed; ends the process with a sentence where it can't.
 *
 * @param {boolean} forTests whether the packages that the tests need must be there too
 */
function build(forTests) {
  const missing = findMissing(project.dependencies) ?? (forTests ? findMissing(project.devDependencies) : undefined);
  const devToo = forTests && process.env.NODE_ENV === 'production' ? ' --include=dev' : '';
  if (missing) fail(`The packages in node_modules are not complete (${missing}): run "npm ci${devToo}" first.`);

  const wanted = join(builds, fingerprint());
  try {
    if (!fs.existsSync(wanted)) compile(wanted);
    recordRevision(wanted);
    if (linkTarget() !== wanted) putInPlace(wanted);
  } catch (error) {
    if (!NOT_OURS.includes(error.code)) throw error;
    fail(
      `The shop's sources have changed and ${root} can't be written (${error.message}): run "npm run build" as its owner.`,
    );
  }
}

/** The first package that is not there in the version that package.json names. */
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
    return JSON.parse(fs.readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')).version;
  } catch {
    return undefined;
  }
}

function fingerprint() {
  const hash = createHash('sha256').update(JSON.stringify([project.dependencies, project.devDependencies]));
  for (const file of SOURCES.flatMap(filesBelow)) {
    const content = fs.readFileSync(join(root, file));
    hash.update(`${file} ${content.length}\n`).update(content);
  }
  return hash.digest('hex').slice(0, 16);
}

/** Paths from the root, in an order that is always the same. */
function filesBelow(path) {
  if (!fs.statSync(join(root, path)).isDirectory()) return [path];
  return fs
    .readdirSync(join(root, path))
    .sort()
    .flatMap((name) => filesBelow(join(path, name)));
}

/** Compiles beside and renames when complete: a build that is there is whole, and others may use it at once. */
function compile(target) {
  if (installedVersion('typescript') === undefined) {
    fail(
      'The shop is not built yet, and the compiler is missing, as "npm ci" leaves it out in production: run "npm ci --include=dev" and start again.',
    );
  }
  if (process.stderr.isTTY) process.stderr.write('Building the shop, as its sources have changed …\n');
  const draft = `${target}.${process.pid}`;
  fs.mkdirSync(draft, { recursive: true });
  try {
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const builtRegistry = join(draft, BUILT_REGISTRY);
    run(tsc, '-p', join(registry, 'tsconfig.build.json'), '--outDir', join(builtRegistry, 'dist'));
    fs.copyFileSync(join(registry, 'package.json'), join(builtRegistry, 'package.json'));
    run(tsc, '-p', shopConfig(draft, join(builtRegistry, 'dist/index.d.ts')));
    run(join(draft, 'src/web/build-templates.js'));
    fs.renameSync(draft, target);
  } catch (error) {
    // Another process has made the same build meanwhile.
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
  } finally {
    fs.rmSync(draft, { recursive: true, force: true });
  }
}

/**
 * Notes which commit the build is of, for `shop_build_info`. Kept out of the fingerprint: another commit of the same
 * sources needs no compiler. Where git can't tell, what an earlier run has noted stays.
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
    // The build is of another user, who had the same sources at another commit.
    if (noted === undefined || !NOT_OURS.includes(error.code)) throw error;
  }
}

/** @returns the commit that is checked out, `-dirty` behind it when the tree differs from it; undefined without git */
function revisionOfGit() {
  // A repository further up is another project's.
  if (!fs.existsSync(join(root, '.git'))) return undefined;
  const commit = git('rev-parse', 'HEAD');
  // Untracked files count: those in `src` are compiled too.
  const changes = git('--no-optional-locks', 'status', '--porcelain');
  return commit && changes !== undefined ? `${commit}${changes && '-dirty'}` : undefined;
}

function git(...args) {
  const { status, stdout } = spawnSync('git', args, { cwd: root, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

/** @returns the path of a configuration that builds the shop into the draft, against what was built of the registry */
function shopConfig(draft, registryTypes) {
  const path = join(draft, 'tsconfig.json');
  const paths = { '@techcommerce/cluster-metrics': [registryTypes] };
  const config = { extends: join(root, 'tsconfig.build.json'), compilerOptions: { outDir: draft, paths } };
  fs.writeFileSync(path, JSON.stringify(config));
  return path;
}

function run(program, ...args) {
  const { status } = spawnSync(process.execPath, [program, ...args], { stdio: 'inherit' });
  if (status !== 0) fail('The build failed: the lines above say where.');
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
  // A folder, where an older version of the shop has built.
  if (fs.lstatSync(dist, { throwIfNoEntry: false })?.isDirectory()) {
    fs.renameSync(dist, join(builds, `former.${process.pid}`));
  }
  fs.renameSync(link, dist);
  linkRegistry();
  try {
    removeOthers(target, former);
  } catch {
    // They are of another user; they harm nothing.
  }
}

/** For what imports the package by its name from outside the build: its tests, benchmarks and examples. */
function linkRegistry() {
  const link = join(registry, 'dist');
  const target = relative(registry, join(dist, BUILT_REGISTRY, 'dist'));
  const found = fs.lstatSync(link, { throwIfNoEntry: false });
  if (found?.isSymbolicLink() && fs.readlinkSync(link) === target) return;
  fs.rmSync(link, { recursive: true, force: true });
  fs.symlinkSync(target, link);
}

/** A process that has loaded the former build needs it no more; one that is just loading it does. */
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

module.exports = { build };
