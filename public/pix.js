// The page of a Pix follows its payment. Without this script, the page is loaded again every 5 seconds.

const POLL_MS = 2000;
const STATE_ANSWER_MS = 5000;

const page = document.querySelector('[data-pix]');
const left = page.querySelector('[data-seconds-left]');
let endMs = performance.now() + Number(left.dataset.secondsLeft) * 1000;

function showTimeLeft() {
  const seconds = Math.max(0, Math.ceil((endMs - performance.now()) / 1000));
  left.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

/** A paid Pix leads to its order, an expired one to the page that says so: the same address shows both. */
async function follow() {
  try {
    const answer = await fetch(page.dataset.pix, {
      headers: { accept: 'application/json' },
      signal: AbortSignal.timeout(STATE_ANSWER_MS),
    });
    const { state, secondsLeft } = await answer.json();
    if (answer.ok && state !== 'waiting') return location.reload();
    if (answer.ok) endMs = performance.now() + secondsLeft * 1000;
    // Long ended, or of a session that is gone. While it can be paid, a release before Pix may have answered.
    else if (answer.status === 404 && performance.now() > endMs) return location.reload();
  } catch {
    // The shop or the network is away for a moment.
  }
  setTimeout(follow, POLL_MS);
}

setInterval(showTimeLeft, 1000);
setTimeout(follow, POLL_MS);
