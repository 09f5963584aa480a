'use strict';
// Run by npm before `npm start` and `npm test`. The check comes before the rest is parsed, which old versions can't.
require('./requirements.cjs').check();
require('./compile.cjs').build();
