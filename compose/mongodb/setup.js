// Run in mongosh by setup.sh. MONGODB_ROOT_PASSWORD_FILE is set where the server asks for passwords.
const fs = require('fs');
const secret = (file) => fs.readFileSync(file, 'utf8').trim();
const admin = db.getSiblingDB('admin');
const rootFile = process.env.MONGODB_ROOT_PASSWORD_FILE;

if (rootFile) {
    admin.auth('root', secret(rootFile));
}

try {
    rs.status();
} catch (error) {
    if (error.codeName !== 'NotYetInitialized') {
        throw error;
    }
    rs.initiate({ _id: 'rs0', members: [{ _id: 0, host: process.env.MONGODB_MEMBER }] });
    print('made the replica set rs0');
}
while (!db.hello().isWritablePrimary) {
    sleep(200);
}

if (rootFile && admin.getUser('wardhouse') === null) {
    // clusterMonitor: `wardhouse doctor` looks at the server's version and durability.
    admin.createUser({
        user: 'wardhouse',
        pwd: secret(process.env.MONGODB_WARDHOUSE_PASSWORD_FILE),
        roles: [{ role: 'dbOwner', db: 'wardhouse' }, { role: 'clusterMonitor', db: 'admin' }],
    });
    print('made the user wardhouse');
}
