<?php
// The configuration of the private WordPress: everything is below the folder that this file's folder is in.

define('DB_NAME', 'wordpress');
define('DB_USER', 'root');
define('DB_PASSWORD', '');
define('DB_HOST', 'localhost:' . dirname(__DIR__) . '/db.sock');
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
$table_prefix = 'wp_';

foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $purpose) {
    define($purpose . '_KEY', hash('sha256', $purpose . '_KEY' . __DIR__));
    define($purpose . '_SALT', hash('sha256', $purpose . '_SALT' . __DIR__));
}

// The server chooses its port when it starts, so the address is the one it was asked by.
define('WP_HOME', 'http://' . $_SERVER['HTTP_HOST']);
define('WP_SITEURL', WP_HOME);

// Application passwords over plain http need a site that calls itself local.
define('WP_ENVIRONMENT_TYPE', 'local');
// The fixture contacts nobody and changes nothing by itself.
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
define('DISABLE_WP_CRON', true);

define('LATCHKEY_LEDGER', dirname(__DIR__) . '/ledger/logins');

if (!defined('ABSPATH')) {
    define('ABSPATH', __DIR__ . '/');
}
require_once ABSPATH . 'wp-settings.php';
