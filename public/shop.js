// Conveniences for browsers that run scripts; every page works without them.

const SUBMIT_DELAY_MS = 600;
const FOCUS_KEY = 'cart-focus';

/** The − and + beside a number. */
for (const button of document.querySelectorAll('[data-step]')) {
  button.addEventListener('click', () => {
    const input = button.parentElement.querySelector('input');
    if (button.dataset.step === '1') input.stepUp();
    else input.stepDown();
    input.dispatchEvent(new Event('change', { bubbles: true }));
  });
}

/** The cart follows its quantities; the delay gathers several clicks into one post. */
for (const form of document.querySelectorAll('[data-submit-on-change]')) {
  let timer;
  form.addEventListener('change', () => {
    clearTimeout(timer);
    timer = setTimeout(() => form.requestSubmit(), SUBMIT_DELAY_MS);
  });
  form.addEventListener('submit', () => {
    clearTimeout(timer);
    sessionStorage.setItem(FOCUS_KEY, document.activeElement.id);
  });
}

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

/** Groups digits the way they are printed; anything else that was typed is left alone. */
const formats = {
  card: (digits) => (/^\d{13,19}$/.test(digits) ? digits.replace(/(\d{4})(?=\d)/g, '$1 ') : null),
  expiry: (digits) => (/^\d{4}$/.test(digits) ? `${digits.slice(0, 2)}/${digits.slice(2)}` : null),
  zip: (digits) => (/^\d{8}$/.test(digits) ? `${digits.slice(0, 5)}-${digits.slice(5)}` : null),
};
for (const input of document.querySelectorAll('[data-format]')) {
  input.addEventListener('change', () => {
    const formatted = formats[input.dataset.format](input.value.replace(/[\s/-]/g, ''));
    if (formatted !== null) input.value = formatted;
  });
}

document.querySelector('.error-summary')?.focus();
document.querySelector('[data-print]')?.addEventListener('click', () => window.print());

// The page that answers a change of the cart continues where the shopper was. Last, since storage may be forbidden.
const focused = sessionStorage.getItem(FOCUS_KEY);
if (focused) {
  sessionStorage.removeItem(FOCUS_KEY);
  document.getElementById(focused)?.focus();
}
