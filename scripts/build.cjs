'use strict';
// The first command of `npm start` and `npm test`, and no `prestart`: where npm is told to ignore scripts, it leaves those
// out. The check comes before the rest is parsed, which old versions can't.
require('./requirements.cjs').check();
require('./compile.cjs').build(process.argv.includes('--with-tests'));
