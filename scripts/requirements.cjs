'use strict';
// Written in ECMAScript 5, so that a very old Node.js can run it and print the sentence.

/**
 * One sentence that names the requirement which this machine does not meet; undefined if it meets all.
 *
 * @param {string} version of Node.js, as `20.12.0`
 * @param {string} platform as `process.platform`
 * @returns {string | undefined}
 */
function complaint(version, platform) {
  var parts = version.split('.');
  var major = Number(parts[0]);
  var minor = Number(parts[1]);
  // Release 21.4 has the features that 20.12 got.
  var supported = major > 21 || (major === 21 && minor >= 4) || (major === 20 && minor >= 12);
  if (!supported) {
    return [
      'Fake Shop needs Node.js 20.12 or newer, and this is Node.js ',
      version,
      ': install version 24 from https://nodejs.org, or run "nvm install 24".',
    ].join('');
  }
  if (platform === 'win32') {
    return 'Fake Shop does not run on Windows itself: run it in WSL 2 (wsl --install), or with Docker (docker compose up --build).';
  }
  return undefined;
}

/** Exits with code 1 and the sentence if a requirement is not met. */
function check() {
  var sentence = complaint(process.versions.node, process.platform);
  if (sentence === undefined) return;
  console.error(sentence);
  process.exit(1);
}

module.exports = { complaint: complaint, check: check };
