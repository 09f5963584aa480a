/** The shop can't start. The message is for the person who starts it: what is wrong and what to do, so no stack is shown. */
export class StartError extends Error {
  override readonly name: string = 'StartError';
}
