package main

import (
	"crypto/sha1"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	manager           = "bench-peer"
	annotationApplied = "cr.kanister.io/applied"
)

//go:embed children.json
var templatesFile []byte

// templates holds the text of each child, compact, with $NAMES to be replaced.
var templates = func() map[string]string {
	var raw map[string]map[string]any
	if err := json.Unmarshal(templatesFile, &raw); err != nil {
		panic(err)
	}
	texts := map[string]string{}
	for name, object := range raw {
		text, err := json.Marshal(object)
		if err != nil {
			panic(err)
		}
		texts[name] = string(text)
	}
	return texts
}()

// known is what is remembered of the Secrets once they were read: nothing secret.
type known struct {
	versions    string
	digest      string
	fingerprint string
	claim       string
	directory   string
	// What tells one state of the users from another.
	users string
}

// child is a desired object and the digest by which a cached one is compared with it.
type child struct {
	text    string
	applied string
}

// render fills a template in.
func render(template string, server *RepositoryServer, in *known, image string, data ...string) child {
	values := append([]string{
		"$NAMESPACE", server.Namespace,
		"$NAME", server.Name,
		"$UID", string(server.UID),
		"$MANAGER", manager,
		"$DIGEST", in.digest,
		"$FINGERPRINT", in.fingerprint,
		"$CLAIM", in.claim,
		"$DIRECTORY", in.directory,
		"$USERS_ENCODED", base64.StdEncoding.EncodeToString([]byte(in.users)),
		"$USERS", in.users,
		"$IMAGE", image,
	}, data...)
	text := strings.NewReplacer(values...).Replace(templates[template])
	sum := sha256.Sum256([]byte(text))
	return child{text: text, applied: hex.EncodeToString(sum[:])[:10]}
}

// object returns the child as it is applied.
func (c child) object() (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal([]byte(c.text), &u.Object); err != nil {
		return nil, err
	}
	annotations := u.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[annotationApplied] = c.applied
	u.SetAnnotations(annotations)
	return u, nil
}

// secretData returns what the templates need of the Secrets, and the digest over it.
func secretData(server *RepositoryServer, secrets []corev1.Secret) ([]string, *known, error) {
	location, password, admin, tls, users := secrets[0].Data, secrets[1].Data, secrets[2].Data, secrets[3].Data, secrets[4].Data
	block, _ := pem.Decode(tls["tls.crt"])
	if block == nil {
		return nil, nil, errors.New("tls.crt holds no certificate")
	}
	fingerprint := sha256.Sum256(block.Bytes)
	directory := fmt.Sprintf("/mnt/data/%s/%s/", location["prefix"], server.Spec.Repository.RootPath)
	config := fmt.Sprintf(
		`{"storage": {"type": "filesystem", "config": {"path": "%s"}}, `+
			`"caching": {"cacheDirectory": "/cache", "maxCacheSize": 1, "contentCacheSizeLimitBytes": 1, `+
			`"maxMetadataCacheSize": 500000000, "metadataCacheSizeLimitBytes": 500000000, `+
			`"maxListCacheDuration": 30}, "hostname": "%s.%s", "username": "repository-server", `+
			`"enableActions": false}`,
		directory, server.Name, server.Namespace)
	data := []string{
		"$CONFIG", base64.StdEncoding.EncodeToString([]byte(config)),
		"$REPOSITORY_PASSWORD", base64.StdEncoding.EncodeToString(password["repo-password"]),
		"$ADMIN_USERNAME", base64.StdEncoding.EncodeToString(admin["username"]),
		"$ADMIN_PASSWORD", base64.StdEncoding.EncodeToString(admin["password"]),
		"$CERTIFICATE", base64.StdEncoding.EncodeToString(tls["tls.crt"]),
		"$PRIVATE_KEY", base64.StdEncoding.EncodeToString(tls["tls.key"]),
	}
	sum := sha256.Sum256([]byte(strings.Join(data, "\x00")))
	in := &known{
		digest:      hex.EncodeToString(sum[:])[:10],
		fingerprint: hex.EncodeToString(fingerprint[:]),
		claim:       string(location["claimName"]),
		directory:   directory,
	}
	htpasswd := usersFile(server, users)
	sum = sha256.Sum256([]byte(htpasswd))
	in.users = hex.EncodeToString(sum[:])[:10]
	return append(data, "$HTPASSWD", base64.StdEncoding.EncodeToString([]byte(htpasswd))), in, nil
}

// usersFile returns the users with their salted hashes, as Kopia reads them.
func usersFile(server *RepositoryServer, users map[string][]byte) string {
	lines := make([]string, 0, len(users))
	for name, password := range users {
		salt := sha256.Sum256([]byte(string(server.UID) + name))
		hash := sha1.Sum(append(append([]byte(nil), password...), salt[:16]...))
		encoded := base64.StdEncoding.EncodeToString(append(hash[:], salt[:16]...))
		lines = append(lines, server.Spec.Server.UserAccess.Username+"@"+name+":{SSHA}"+encoded+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}
