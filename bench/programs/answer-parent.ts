/**
 * The child's side of `startProgram`: answers each message of the parent with the handler's result, one at a time. The
 * process ends when the parent has gone or ends it; an error of the handler ends it too.
 *
 * @param release called before the end
 */
export function answerParent<Question, Answer>(
  handle: (question: Question) => Promise<Answer>,
  release: () => unknown = () => {},
): void {
  // Ctrl-C and a closed terminal reach the whole process group, but the parent decides in which order programs end.
  for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
  process.once('disconnect', async () => {
    await release();
    process.exit();
  });
  process.on('message', async (question: Question) => {
    process.send?.(await handle(question));
  });
}
