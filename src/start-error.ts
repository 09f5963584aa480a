/** The shop can't start. The message tells the person who starts it the reason and the remedy, so no stack is shown. */
export class StartError extends Error {
  override readonly name: string = 'StartError';
}
