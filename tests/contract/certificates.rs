//! Certificates for tests: an authority, and what it vouches for. Ed25519 keys, so that equal runs have equal lengths.

use std::sync::Arc;

use proxy_herd::event_loop::{Security, ServerSecurity, StartTls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ED25519};
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::version::TLS12;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

/// An authority, made for one test.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no names are valid names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, key()).expect("it can sign itself"))
    }

    /// A server with a certificate for `name`.
    pub(crate) fn server(&self, name: &str) -> ServerSecurity {
        let key = key();
        let params = CertificateParams::new([name.to_owned()]).expect("a valid name");
        let certificate = params.signed_by(&key, &self.0).expect("the authority can sign");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has the default versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
            .expect("key and certificate belong together");
        ServerSecurity::Tls(Arc::new(config))
    }

    /// A client that trusts this authority, and expects `name`. It resumes no sessions: what one simulation has left in
    /// the configuration would change the next.
    pub(crate) fn client(&self, name: &str) -> Security {
        self.client_of(name, rustls::DEFAULT_VERSIONS)
    }

    /// The same, but it resumes sessions.
    pub(crate) fn client_that_remembers(&self, name: &str) -> Security {
        let Security::Tls(mut config, name) = self.client(name) else { unreachable!("it is TLS") };
        Arc::make_mut(&mut config).resumption = Resumption::in_memory_sessions(2);
        Security::Tls(config, name)
    }

    /// The same, speaking nothing newer than TLS 1.2.
    pub(crate) fn client_of_tls12(&self, name: &str) -> Security {
        self.client_of(name, &[&TLS12])
    }

    /// The two ends of a connection that is about to speak TLS: the server's, the client's.
    pub(crate) fn ends(&self, name: &str) -> [StartTls; 2] {
        let ServerSecurity::Tls(server) = self.server(name) else { unreachable!("it is TLS") };
        let Security::Tls(client, name) = self.client(name) else { unreachable!("it is TLS") };
        [StartTls::Server(server), StartTls::Client(client, name)]
    }

    fn client_of(&self, name: &str, versions: &[&'static SupportedProtocolVersion]) -> Security {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("it is an authority");
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("ring has these versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Security::Tls(Arc::new(config), ServerName::try_from(name.to_owned()).expect("a valid name"))
    }
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ED25519).expect("ring makes Ed25519 keys")
}
