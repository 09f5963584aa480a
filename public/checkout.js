// Conveniences of the checkout and the confirmation; both pages work without them.

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

/** While a CEP is typed, its state and, for a capital, its city are filled in; what the shopper wrote stays. */
for (const form of document.querySelectorAll('[data-states]')) {
  const states = JSON.parse(form.dataset.states);
  const { zip, state, city } = form.elements;
  const status = form.querySelector('[data-status=zip]');
  let told = null;

  // By then the browser has put back what was typed before the shopper left the page.
  window.addEventListener('pageshow', () => {
    told = placeOf(zip.value, states);
  });
  zip.addEventListener('input', () => {
    const found = placeOf(zip.value, states);
    fill(state, told?.state, found?.state);
    fill(city, told?.city, found?.city);
    status.textContent = found ? [found.city, states[found.state].name].filter(Boolean).join(' – ') : '';
    told = found;
  });
}

function fill(field, before, now = '') {
  if (field.value === '' || field.value === before) field.value = now;
}

/** The same table and rule as on the server: src/shop/checkout/cep.ts. */
function placeOf(text, states) {
  const [, head] = /^\s*(\d{5})[\s-]?\d{3}\s*$/.exec(text) ?? [];
  const isIn = (ranges) => ranges.some(([first, last]) => first <= head && head <= last);
  const code = Object.keys(states).find((state) => isIn(states[state].ceps));
  if (head === undefined || code === undefined) return null;
  const { capital, capitalCeps } = states[code];
  return { state: code, city: isIn(capitalCeps) ? capital : '' };
}

/** A house has a number, or none. */
for (const box of document.querySelectorAll('[name=no_number]')) {
  const { number } = box.form.elements;
  const follow = () => {
    number.disabled = box.checked;
    number.required = !box.checked;
  };
  box.addEventListener('change', follow);
  window.addEventListener('pageshow', follow);
}

/** The fields of a card are asked for only where the shopper pays by card. */
for (const card of document.querySelectorAll('[data-card]')) {
  const { form } = card;
  const follow = () => {
    card.disabled = form.elements.payment_method.value === 'pix';
    for (const field of card.elements) field.required = true;
  };
  form.addEventListener('change', follow);
  window.addEventListener('pageshow', follow);
}

document.querySelector('[data-print]')?.addEventListener('click', () => window.print());

/** Copies the text of the button's `data-copy`, and says so in its `data-copied`. */
for (const button of document.querySelectorAll('[data-copy]')) {
  const status = document.getElementById(button.dataset.copied);
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      status.textContent = 'Copiado.';
    } catch {
      // Browsers lend the clipboard to pages over HTTPS and of this machine alone.
      status.textContent = 'O navegador não permitiu copiar. Selecione o texto e copie.';
    }
  });
}
