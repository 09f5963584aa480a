'use strict';
// Runs before anything else, also where nothing else would: so it is written in the JavaScript of 2009.

/**
 * What this machine lacks to run the shop, in one sentence; undefined when nothing is missing.
 *
 * @param {string} version of Node.js, as `20.12.0`
 * @param {string} platform as `process.platform`
 * @returns {string | undefined}
 */
function complaint(version, platform) {
  var parts = version.split('.');
  var major = Number(parts[0]);
  var minor = Number(parts[1]);
  // The odd release 21 had in its fourth minor what 20 got in its twelfth.
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

/** Ends the process with the sentence when something is missing. */
function check() {
  var sentence = complaint(process.versions.node, process.platform);
  if (sentence === undefined) return;
  console.error(sentence);
  process.exit(1);
}

module.exports = { complaint: complaint, check: check };
