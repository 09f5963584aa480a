export { type AppDeps, type AppOptions, createApp } from './app.ts';
export { shopRoutes } from './routes.ts';
