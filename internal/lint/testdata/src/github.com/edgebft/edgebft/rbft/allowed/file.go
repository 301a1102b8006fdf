//lint:allow determinism the whole file measures this host on purpose

package allowed

import "os"

func host() (string, error) { return os.Hostname() }
