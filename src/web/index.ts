export { type AppDeps, type AppOptions, createApp } from './app.ts';
export { createRateLimiter } from './rate-limit.ts';
export { shopRoutes } from './routes.ts';
export { loadTemplates, type Templates } from './templates.ts';
