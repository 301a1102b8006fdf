package good

import "sync"

// Tests are not looked at.
var _ sync.Mutex
