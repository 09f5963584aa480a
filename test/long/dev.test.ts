import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { descendants, isAlive } from '../support/system.ts';
import { until } from '../support/wait.ts';
import { copyProject, installPackages } from './project-copy.ts';
import { CTRL_C, openTerminal } from './terminal.ts';

const STOPPED = /primary: stopped: the data is kept in /g;

async function developedCopy(t: TestContext) {
  const folder = await copyProject(t);
  await installPackages(folder);
  return {
    folder,
    async edit(file: string, from: string, to: string) {
      const text = await readFile(join(folder, file), 'utf8');
      assert.ok(text.includes(from), `${file} holds no ${from}`);
      await writeFile(join(folder, file), text.replace(from, to));
    },
  };
}

async function contactPage(shop: string): Promise<string> {
  return (await fetch(`${shop}/contact`)).text();
}

test('npm run dev restarts the shop in order after each change, survives a mistake, and ends at Ctrl-C', async (t) => {
  const { folder, edit } = await developedCopy(t);
  const terminal = await openTerminal(t, 'npm run dev', { folder });
  const first = await terminal.ready();
  assert.doesNotMatch(await contactPage(first.shop), /another page/);

  const [, heading = ''] = /^( *h1.*)$/m.exec(await readFile(join(folder, 'templates/contact.pug'), 'utf8')) ?? [];
  await edit('templates/contact.pug', heading, `${heading} of another page`);
  const second = await terminal.ready(2);
  assert.match(await contactPage(second.shop), /of another page/);
  await assert.rejects(fetch(first.shop));

  await edit('src/cluster/primary.ts', 'Fake Shop starts', 'Another shop starts');
  const third = await terminal.ready(3);
  assert.match(terminal.output(), /primary: Another shop starts/);
  assert.equal(terminal.output().match(STOPPED)?.length, 2, 'each shop has stopped in order, its database too');

  await writeFile(join(folder, 'src/wrong.ts'), 'export const wrong: string = 1;\n');
  await until('the mistake is reported', () => /the shop runs on as it was/.test(terminal.output()));
  assert.match(terminal.output(), /src\/wrong\.ts.*TS2322/);
  assert.match(await contactPage(third.shop), /of another page/);
  await edit('src/wrong.ts', ' = 1', " = '1'");
  const fourth = await terminal.ready(4);

  const family = await descendants(terminal.pid);
  assert.ok(family.length > 6, 'npm, this script, the primary, two workers and the database');
  assert.equal(await terminal.press(CTRL_C), 0, terminal.output());
  assert.equal(terminal.output().match(STOPPED)?.length, 4);
  await until('no process is left', async () => !(await Promise.all(family.map(isAlive))).includes(true));
  assert.ok(!existsSync(join(terminal.dataDir, 'postgres/postmaster.pid')));
  await assert.rejects(fetch(fourth.shop));
});

test('npm run dev waits for a change when the first build fails, and when the shop ends by itself', async (t) => {
  const { folder, edit } = await developedCopy(t);
  await writeFile(join(folder, 'src/wrong.ts'), 'export const wrong: string = 1;\n');
  const terminal = await openTerminal(t, 'npm run dev', { folder });
  await until('it waits', () => /the shop starts after a change/.test(terminal.output()));

  await edit('src/main.ts', 'requirements.check();', 'requirements.check();\nif (process.pid) process.exit(7);');
  await edit('src/wrong.ts', ' = 1', " = '1'");
  await until('the end is logged', () => /the shop has ended with code 7 and starts again/.test(terminal.output()));

  await edit('src/main.ts', 'if (process.pid) process.exit(7);', '');
  await terminal.ready();
  assert.equal(await terminal.press(CTRL_C), 0, terminal.output());
});
