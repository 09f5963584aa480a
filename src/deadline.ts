/**
 * Waits for work, and no longer than the deadline. The work itself goes on; how it ends then is nobody's concern here.
 *
 * @param late makes the error to throw at the deadline
 */
export async function withDeadline<T>(work: PromiseLike<T>, deadlineMs: number, late: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(late()), deadlineMs);
  });
  try {
    return await Promise.race([work, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
