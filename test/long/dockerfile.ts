import { spawnSync } from 'node:child_process';
import { cp, mkdir, readFile, realpath } from 'node:fs/promises';
import { basename, join } from 'node:path';

/** An image as plain folders, which was built without Docker. */
export interface BuiltImage {
  /** Where the command runs. */
  readonly workdir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly command: readonly string[];
  readonly healthcheck: readonly string[];
}

interface Stage {
  readonly root: string;
  /** Build arguments, which RUN finds in its environment. */
  readonly args: Record<string, string>;
  workdir: string;
}

/**
 * Follows a Dockerfile's steps by hand, each stage in a folder of its own below `target`: COPY, ARG, ENV, LABEL, and
 * each RUN that calls npm. Debian's packages, users and other steps that need a container are left to Docker.
 *
 * @param context the folder that holds the Dockerfile
 * @param buildArgs as `docker build --build-arg` takes them
 * @throws Error when a step fails
 */
export async function followDockerfile(
  context: string,
  target: string,
  buildArgs: Readonly<Record<string, string>> = {},
): Promise<BuiltImage> {
  const stages = new Map<string, Stage>();
  let stage: Stage = { root: target, args: {}, workdir: target };
  const image = {
    env: {} as Record<string, string>,
    labels: {} as Record<string, string>,
    command: [] as string[],
    healthcheck: [] as string[],
  };

  for (const [verb, rest] of await readSteps(join(context, 'Dockerfile'))) {
    if (verb === 'FROM') {
      const name = / AS (\w+)$/.exec(rest)?.[1] ?? 'image';
      stage = { root: join(target, name), args: {}, workdir: join(target, name) };
      stages.set(name, stage);
    } else if (verb === 'WORKDIR') {
      stage.workdir = join(stage.root, rest);
      await mkdir(stage.workdir, { recursive: true });
    } else if (verb === 'COPY') {
      await copy(rest, context, stage, stages);
    } else if (verb === 'RUN' && / npm |^npm /.test(rest)) {
      run(rest.replace(/^--mount=\S+ /, ''), stage);
    } else if (verb === 'ARG') {
      const [, name = '', byDefault = ''] = /^(\w+)=(.*)$/.exec(rest) ?? [];
      stage.args[name] = buildArgs[name] ?? byDefault;
    } else if (verb === 'ENV') {
      for (const [, name = '', value = ''] of rest.matchAll(/(\w+)=(\S+)/g)) image.env[name] = value;
    } else if (verb === 'LABEL') {
      for (const [, name = '', value = ''] of rest.matchAll(/([\w.]+)="([^"]*)"/g)) {
        image.labels[name] = value.replace(/\$\{(\w+)\}/g, (_, arg: string) => stage.args[arg] ?? '');
      }
    } else if (verb === 'HEALTHCHECK') {
      image.healthcheck = JSON.parse(rest.replace(/^.*? CMD /, '')) as string[];
    } else if (verb === 'CMD') {
      image.command = JSON.parse(rest) as string[];
    }
  }
  return { workdir: stage.workdir, ...image };
}

/** Verb and rest of each step, with continued lines joined. */
async function readSteps(file: string): Promise<[verb: string, rest: string][]> {
  const text = (await readFile(file, 'utf8')).replace(/^#.*\n/gm, '').replace(/\s*\\\n\s*/g, ' ');
  return [...text.matchAll(/^([A-Z]+) (.+)$/gm)].map(([, verb = '', rest = '']) => [verb, rest]);
}

async function copy(rest: string, context: string, to: Stage, stages: Map<string, Stage>): Promise<void> {
  const [, from = ''] = /^--from=(\w+) /.exec(rest) ?? [];
  const paths = rest.replace(/^--from=\w+ /, '').split(' ');
  const destination = paths.pop() ?? '';
  for (const path of paths) {
    const source = join(from ? (stages.get(from)?.root ?? '') : context, path);
    const into = destination.endsWith('/') ? join(destination, basename(path)) : destination;
    // A source that is a link, such as `dist`, is followed, as Docker does.
    await cp(await realpath(source), join(to.workdir, into), { recursive: true, verbatimSymlinks: true });
  }
}

function run(command: string, { args, workdir }: Stage): void {
  const env = { ...process.env, ...args };
  const { status, stdout, stderr } = spawnSync('sh', ['-c', command], { cwd: workdir, env, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} failed in ${workdir}:\n${stdout}${stderr}`);
}
