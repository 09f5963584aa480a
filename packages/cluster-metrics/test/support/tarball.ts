import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const NAME = '@techcommerce/cluster-metrics';

/** What a user installs beside the package: prom-client, or its successor where the tests run with it (with-successor.mjs). */
const library = process.env.SUCCESSOR === undefined ? 'prom-client' : '@prometheus-io/client';
const libraryFolder = process.env.SUCCESSOR ?? dirname(createRequire(import.meta.url).resolve('prom-client'));

export interface Installed {
  /** An empty package of ES modules, with nothing but the tarball's package and one of the libraries. */
  readonly folder: string;
  /** Every file in the tarball. */
  readonly files: readonly string[];
  /** Of the tarball. */
  readonly bytes: number;
}

/**
 * Packs the package and installs the tarball, without the network, in a folder outside the repository.
 *
 * Packs a copy: packing builds `dist`, which other tests are using.
 *
 * @returns also the scratch folder that holds everything, to be removed
 */
export function installTarball(): Installed & { scratch: string } {
  const scratch = mkdtempSync(join(tmpdir(), 'tarball-'));
  const copy = join(scratch, 'repository/packages/cluster-metrics');
  mkdirSync(copy, { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(scratch, 'repository/node_modules'));
  cpSync(join(root, 'tsconfig.json'), join(scratch, 'repository/tsconfig.json'));
  for (const part of [
    'src',
    'docs',
    'examples',
    'scripts',
    'README.md',
    'CHANGELOG.md',
    'LICENSE',
    'package.json',
    'tsconfig.build.json',
  ]) {
    cpSync(join(root, 'packages/cluster-metrics', part), join(copy, part), { recursive: true });
  }
  const [packed] = JSON.parse(run(copy, 'npm', ['pack', '--json', '--silent', '--pack-destination', scratch]));

  const folder = join(scratch, 'user');
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module', private: true }));
  run(folder, 'npm', ['install', '--offline', '--silent', '--no-audit', join(scratch, packed.filename)]);
  link(folder, library, libraryFolder);
  const files = packed.files.map(({ path }: { path: string }) => path);
  return { scratch, folder, files, bytes: packed.size };
}

/** Puts a package of the repository beside the installed one. */
export function link(folder: string, name: string, target = join(root, 'node_modules', name)): void {
  const place = join(folder, 'node_modules', name);
  mkdirSync(dirname(place), { recursive: true });
  symlinkSync(target, place);
}

/** Runs a program in the folder, without the preloads of the tests. @returns what it printed; throws when it fails */
export function run(folder: string, program: string, args: readonly string[]): string {
  const env = { ...process.env, NODE_OPTIONS: '', npm_config_update_notifier: 'false' };
  const { status, stdout, stderr } = spawnSync(program, args, { cwd: folder, encoding: 'utf8', env });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${status}\n${stdout}${stderr}`);
  return stdout;
}

/** The path of the installed package. */
export function packageIn(folder: string): string {
  return join(folder, 'node_modules', NAME);
}
