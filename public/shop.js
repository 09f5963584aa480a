// Conveniences for browsers that run scripts; every page works without them.

const SUBMIT_DELAY_MS = 600;
const TYPING_MS = 300;
const MESSAGE_MS = 8_000;
const ANSWER_MS = 10_000;

/**
 * A page of the shop, asked for in the background. Where the answer is no such page, the error says in `isRefused` whether
 * the shop has told that it changed nothing.
 */
async function load(address, { signal, ...options }) {
  const deadline = AbortSignal.timeout(ANSWER_MS);
  const response = await fetch(address, {
    signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
    ...options,
  });
  const page = new DOMParser().parseFromString(await response.text(), 'text/html');
  if (response.ok && page.querySelector('.cart-link')) return page;
  const { status, redirected } = response;
  const isRefused = status >= 400 && status < 500 && !redirected;
  throw Object.assign(new Error(`${status} for ${address}`), { isRefused });
}

/** The page to which the answer of a form leads. */
function post(form) {
  return load(form.action, { method: 'POST', body: new URLSearchParams(new FormData(form)) });
}

/** A text for screen readers alone. */
function unseen(text) {
  const element = document.createElement('span');
  element.className = 'visually-hidden';
  element.textContent = text;
  return element;
}

/** Has something read out as soon as the screen reader is silent. */
function tell(element) {
  document.querySelector('.notices').replaceChildren(element);
}

/** Takes the cart's units and the message from another page, and shows them over this one, so that nothing moves. */
function showCart(page) {
  const cart = page.querySelector('.cart-link');
  const badge = cart.querySelector('.badge');
  document.querySelector('.cart-link').replaceChildren(...cart.childNodes);
  const message = page.querySelector('.flash');
  if (!message) return;
  message.classList.add('flash--over');
  if (badge) message.querySelector('p').append(unseen(` ${badge.textContent} no carrinho.`));
  tell(message);
  setTimeout(() => {
    if (!message.matches(':hover, :focus-within')) message.remove();
  }, MESSAGE_MS);
}

/** Shows the content of another page in place of this one's. What has the focus keeps it, else `then` gets it. */
function show(page, then) {
  const main = document.querySelector('main');
  const focused = main.contains(document.activeElement) ? document.activeElement : null;
  showCart(page);
  document.title = page.title;
  for (const part of main.querySelectorAll(':scope > :not(.notices)')) part.remove();
  main.append(...page.querySelectorAll('main > :not(.notices)'));
  if (!focused) return;
  const next = document.getElementById(focused.id) ?? document.getElementById(then) ?? main;
  if (next.matches('input') && focused.value !== focused.defaultValue) next.value = focused.value;
  next.focus({ preventScroll: true });
}

/**
 * Posts a form. One that the shop has refused is posted again by the browser, which leaves this page for the one that says
 * why. Any other failure leaves open whether it was done, and twice would be wrong: the cart shows it.
 */
async function postOrLeave(form, showAnswer) {
  let page;
  try {
    page = await post(form);
  } catch ({ isRefused }) {
    if (isRefused) form.submit();
    else location.assign('/cart');
    return new Promise(() => {});
  }
  showAnswer(page);
}

/** Posts follow one another, so that each answer knows of those before. */
let posting = Promise.resolve();

/** An add from a list leaves the shopper there. */
function add(form) {
  posting = posting.then(() => postOrLeave(form, showCart));
}

/** Quantities that are posted in a moment: the delay gathers several clicks. */
const waiting = new Map();
/** Forms of the cart whose answer is not there yet. */
const underWay = new Set();

function submitSoon(form) {
  clearTimeout(waiting.get(form));
  waiting.set(
    form,
    setTimeout(() => form.requestSubmit(), SUBMIT_DELAY_MS),
  );
}

function change(form) {
  clearTimeout(waiting.get(form));
  waiting.delete(form);
  if (underWay.has(form)) {
    if (form.matches('[data-submit-on-change]')) submitSoon(form);
    return;
  }
  underWay.add(form);
  posting = posting.then(() =>
    postOrLeave(form, (page) => {
      underWay.delete(form);
      // A later change would be lost with its form; its answer shows this one too.
      if (underWay.size > 0 || waiting.size > 0) showCart(page);
      else show(page, `remover-${form.elements.next?.value}`);
    }),
  );
}

/** The checkout shows the quantities that were typed a moment ago. */
function checkOut(event) {
  if (waiting.size === 0 && underWay.size === 0) return;
  event.preventDefault();
  const forms = [...waiting.keys()];
  for (const form of forms) form.requestSubmit();
  if (forms.every((form) => form.checkValidity())) posting.then(() => location.assign('/checkout'));
}

let asked = new AbortController();
let typing;
let shown = location.pathname + location.search;

/**
 * Shows the list that a form asks for, and its address: as a new page of the history, or as the same list in another
 * state. What was asked for before is not waited for any longer.
 */
async function showList(form) {
  clearTimeout(typing);
  asked.abort();
  asked = new AbortController();
  const address = new URL(form.action);
  for (const [name, value] of new FormData(form)) if (value !== '') address.searchParams.set(name, value);
  const page = await load(address, { signal: asked.signal });
  if (location.pathname === '/shop') history.replaceState(history.state, '', address);
  else history.pushState(null, '', address);
  shown = location.pathname + location.search;
  document.querySelector('.categories__list').replaceChildren(...page.querySelectorAll('.categories__list > *'));
  show(page);
  scrollTo(0, 0);
  tell(unseen(document.querySelector('.page__head p').textContent));
}

/** Going back from a list that was shown in place of another page, or forward to it. */
window.addEventListener('popstate', () => {
  if (location.pathname + location.search !== shown) location.reload();
});

/** Products are found while they are typed. A search that fails is not shown; Enter asks for it in the usual way. */
const search = document.querySelector('.search');
search?.addEventListener('input', ({ target }) => {
  clearTimeout(typing);
  if (target.value.trim() === '' && location.pathname !== '/shop') return;
  typing = setTimeout(() => showList(search).catch(() => {}), TYPING_MS);
});
search?.addEventListener('submit', () => {
  clearTimeout(typing);
  asked.abort();
});

document.addEventListener('click', (event) => {
  const { target } = event;
  if (target.closest('a[href="/checkout"]')) checkOut(event);
  const button = target.closest('[data-step]');
  if (!button) return;
  const input = button.parentElement.querySelector('input');
  if (button.dataset.step === '1') input.stepUp();
  else input.stepDown();
  input.dispatchEvent(new Event('change', { bubbles: true }));
});
document.addEventListener('change', ({ target }) => {
  const { form } = target;
  if (form?.matches('[data-submit-on-change]')) submitSoon(form);
  else if (form?.matches('.filters')) {
    showList(form).catch(({ name }) => {
      if (name !== 'AbortError') form.submit();
    });
  }
});
document.addEventListener('submit', (event) => {
  const form = event.target;
  const handle = form.matches('[data-stay]') ? add : form.matches('[data-change]') ? change : null;
  if (!handle) return;
  event.preventDefault();
  handle(form);
});

/** A second click on "Finalizar pedido" does nothing; coming back by the history frees the button. */
for (const form of document.querySelectorAll('[data-submit-once]')) {
  const button = form.querySelector('button[type=submit]');
  const label = button.textContent;
  form.addEventListener('submit', () => {
    button.disabled = true;
    button.textContent = 'Enviando o pedido…';
  });
  window.addEventListener('pageshow', () => {
    button.disabled = false;
    button.textContent = label;
  });
}

/** A page that the browser kept alive while the shopper was on others shows the cart as it was then. */
window.addEventListener('pageshow', (event) => {
  if (event.persisted) location.reload();
});

/** Of one page, before it leaves trying again to the shopper. */
const MOST_RETRIES = 5;
const LONGEST_WAIT_SECONDS = 60;

/**
 * A page that was refused for a moment counts down. Then it asks again: each time it waits twice as long, ends at a
 * random moment, so that shoppers who were refused together do not come back together, and only while it is seen. A form
 * is sent again by the shopper alone.
 */
const refused = document.querySelector('[data-retry-after]');
const retries = history.state?.retries ?? 0;
if (refused) {
  const isForm = refused.dataset.form !== undefined;
  const leastSeconds = Number(refused.dataset.retryAfter);
  if (isForm) countDown(leastSeconds, 'Você pode enviar de novo em', offerToSend);
  else if (retries < MOST_RETRIES) {
    const longest = Math.max(leastSeconds, LONGEST_WAIT_SECONDS);
    countDown(
      Math.min(leastSeconds * 2 ** retries, longest) * (1 + Math.random()),
      'Vamos tentar de novo em',
      askAgain,
    );
  }
} else if (retries > 0) {
  history.replaceState({ ...history.state, retries: 0 }, '');
}

function countDown(seconds, text, end) {
  const endMs = performance.now() + seconds * 1000;
  function show() {
    const leftMs = endMs - performance.now();
    if (leftMs <= 0) return end();
    const left = Math.ceil(leftMs / 1000);
    refused.textContent = `${text} ${left} ${left === 1 ? 'segundo' : 'segundos'}.`;
    setTimeout(show, leftMs % 1000 || 1000);
  }
  show();
}

function offerToSend() {
  refused.setAttribute('role', 'alert');
  refused.textContent = 'Pronto: volte à página anterior e envie de novo.';
}

function askAgain() {
  if (document.hidden) {
    document.addEventListener('visibilitychange', askAgain, { once: true });
    return;
  }
  history.replaceState({ ...history.state, retries: retries + 1 }, '');
  location.reload();
}

document.querySelector('[data-back]')?.addEventListener('click', () => history.back());
document.querySelector('.error-summary')?.focus();
