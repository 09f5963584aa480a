'use strict';
// The first command of `npm start` and `npm test`. Not a `prestart` script: npm skips those with `ignore-scripts`.
// The check runs before the other file is parsed, because old versions of Node.js can't parse it.
require('./requirements.cjs').check();
require('./compile.cjs').build(process.argv.includes('--with-tests'));
