/** Resources in the order they were made, released in reverse. */
export interface ReleaseStack {
  /**
   * Notes how a resource is released, and returns the resource.
   *
   * @param close may be slow; its failure is reported, and the rest is released all the same
   */
  add<T>(resource: T, close: (resource: T) => unknown): T;
  /** Releases everything, last made first. A second call waits for the first. */
  release(): Promise<void>;
}

/** @param onError called for every resource that failed to close */
export function releaseStack(onError: (error: unknown) => void): ReleaseStack {
  const releasers: Array<() => unknown> = [];
  let released: Promise<void> | undefined;

  async function releaseAll(): Promise<void> {
    for (let next = releasers.pop(); next; next = releasers.pop()) {
      try {
        await next();
      } catch (error) {
        onError(error);
      }
    }
  }

  return {
    add(resource, close) {
      releasers.push(() => close(resource));
      return resource;
    },
    release() {
      released ??= releaseAll();
      return released;
    },
  };
}
