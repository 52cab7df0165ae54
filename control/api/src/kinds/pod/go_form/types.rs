//! Upstream's internal types inside a pod spec: each field as `GoName:apiName:form`, in Go's order.
//!
//! Sources of volumes that nobody mounts any more are left plain.

pub(super) const TYPES: &[(&str, &str)] = &[
    (
        "PodSpec",
        "Volumes:volumes:[]Volume InitContainers:initContainers:[]Container Containers:containers:[]Container
         EphemeralContainers:ephemeralContainers:[]EphemeralContainer RestartPolicy:restartPolicy:text
         TerminationGracePeriodSeconds:terminationGracePeriodSeconds:plain
         ActiveDeadlineSeconds:activeDeadlineSeconds:plain DNSPolicy:dnsPolicy:text NodeSelector:nodeSelector:plains
         ServiceAccountName:serviceAccountName:text AutomountServiceAccountToken:automountServiceAccountToken:plain
         NodeName:nodeName:text SecurityContext:securityContext:*PodSecurityContext
         ImagePullSecrets:imagePullSecrets:[]LocalObjectReference Hostname:hostname:text Subdomain:subdomain:text
         SetHostnameAsFQDN:setHostnameAsFQDN:plain Affinity:affinity:*Affinity SchedulerName:schedulerName:text
         Tolerations:tolerations:[]Toleration HostAliases:hostAliases:[]HostAlias
         PriorityClassName:priorityClassName:text Priority:priority:plain PreemptionPolicy:preemptionPolicy:plain
         DNSConfig:dnsConfig:*PodDNSConfig ReadinessGates:readinessGates:[]PodReadinessGate
         RuntimeClassName:runtimeClassName:plain Overhead:overhead:plains EnableServiceLinks:enableServiceLinks:plain
         TopologySpreadConstraints:topologySpreadConstraints:[]TopologySpreadConstraint OS:os:*PodOS
         SchedulingGates:schedulingGates:[]PodSchedulingGate ResourceClaims:resourceClaims:[]PodResourceClaim
         Resources:resources:*ResourceRequirements HostnameOverride:hostnameOverride:plain",
    ),
    (
        "Container",
        "Name:name:text Image:image:text Command:command:plains Args:args:plains WorkingDir:workingDir:text
         Ports:ports:[]ContainerPort EnvFrom:envFrom:[]EnvFromSource Env:env:[]EnvVar
         Resources:resources:=ResourceRequirements ResizePolicy:resizePolicy:[]ContainerResizePolicy
         RestartPolicy:restartPolicy:plain RestartPolicyRules:restartPolicyRules:plains
         VolumeMounts:volumeMounts:[]VolumeMount VolumeDevices:volumeDevices:[]VolumeDevice
         LivenessProbe:livenessProbe:*Probe ReadinessProbe:readinessProbe:*Probe StartupProbe:startupProbe:*Probe
         Lifecycle:lifecycle:*Lifecycle TerminationMessagePath:terminationMessagePath:text
         TerminationMessagePolicy:terminationMessagePolicy:text ImagePullPolicy:imagePullPolicy:text
         SecurityContext:securityContext:*SecurityContext Stdin:stdin:flag StdinOnce:stdinOnce:flag TTY:tty:flag",
    ),
    (
        "EphemeralContainer",
        "Name:name:text Image:image:text Command:command:plains Args:args:plains WorkingDir:workingDir:text
         Ports:ports:[]ContainerPort EnvFrom:envFrom:[]EnvFromSource Env:env:[]EnvVar
         Resources:resources:=ResourceRequirements ResizePolicy:resizePolicy:[]ContainerResizePolicy
         RestartPolicy:restartPolicy:plain RestartPolicyRules:restartPolicyRules:plains
         VolumeMounts:volumeMounts:[]VolumeMount VolumeDevices:volumeDevices:[]VolumeDevice
         LivenessProbe:livenessProbe:*Probe ReadinessProbe:readinessProbe:*Probe StartupProbe:startupProbe:*Probe
         Lifecycle:lifecycle:*Lifecycle TerminationMessagePath:terminationMessagePath:text
         TerminationMessagePolicy:terminationMessagePolicy:text ImagePullPolicy:imagePullPolicy:text
         SecurityContext:securityContext:*SecurityContext Stdin:stdin:flag StdinOnce:stdinOnce:flag TTY:tty:flag
         TargetContainerName:targetContainerName:text",
    ),
    ("ResourceRequirements", "Limits:limits:plains Requests:requests:plains Claims:claims:[]ResourceClaim"),
    ("ResourceClaim", "Name:name:text Request:request:text"),
    (
        "ContainerPort",
        "Name:name:text HostPort:hostPort:int ContainerPort:containerPort:int Protocol:protocol:text HostIP:hostIP:text",
    ),
    (
        "EnvFromSource",
        "Prefix:prefix:text ConfigMapRef:configMapRef:*OptionalReference SecretRef:secretRef:*OptionalReference",
    ),
    ("OptionalReference", "Name:name:text Optional:optional:plain"),
    ("EnvVar", "Name:name:text Value:value:text ValueFrom:valueFrom:*EnvVarSource"),
    (
        "EnvVarSource",
        "FieldRef:fieldRef:*ObjectFieldSelector ResourceFieldRef:resourceFieldRef:*ResourceFieldSelector
         ConfigMapKeyRef:configMapKeyRef:*KeySelector SecretKeyRef:secretKeyRef:*KeySelector
         FileKeyRef:fileKeyRef:plain",
    ),
    ("ObjectFieldSelector", "APIVersion:apiVersion:text FieldPath:fieldPath:text"),
    ("ResourceFieldSelector", "ContainerName:containerName:text Resource:resource:text Divisor:divisor:plain"),
    ("KeySelector", "Name:name:text Key:key:text Optional:optional:plain"),
    ("ContainerResizePolicy", "ResourceName:resourceName:text RestartPolicy:restartPolicy:text"),
    (
        "VolumeMount",
        "Name:name:text ReadOnly:readOnly:flag RecursiveReadOnly:recursiveReadOnly:plain MountPath:mountPath:text
         SubPath:subPath:text MountPropagation:mountPropagation:plain SubPathExpr:subPathExpr:text",
    ),
    ("VolumeDevice", "Name:name:text DevicePath:devicePath:text"),
    (
        "Probe",
        "Exec:exec:*ExecAction HTTPGet:httpGet:*HTTPGetAction TCPSocket:tcpSocket:*TCPSocketAction
         GRPC:grpc:*GRPCAction InitialDelaySeconds:initialDelaySeconds:int TimeoutSeconds:timeoutSeconds:int
         PeriodSeconds:periodSeconds:int SuccessThreshold:successThreshold:int FailureThreshold:failureThreshold:int
         TerminationGracePeriodSeconds:terminationGracePeriodSeconds:plain",
    ),
    ("ExecAction", "Command:command:plains"),
    (
        "HTTPGetAction",
        "Path:path:text Port:port:int Host:host:text Scheme:scheme:text HTTPHeaders:httpHeaders:[]HTTPHeader",
    ),
    ("HTTPHeader", "Name:name:text Value:value:text"),
    ("TCPSocketAction", "Port:port:int Host:host:text"),
    ("GRPCAction", "Port:port:int Service:service:plain"),
    ("SleepAction", "Seconds:seconds:int"),
    (
        "Lifecycle",
        "PostStart:postStart:*LifecycleHandler PreStop:preStop:*LifecycleHandler StopSignal:stopSignal:plain",
    ),
    (
        "LifecycleHandler",
        "Exec:exec:*ExecAction HTTPGet:httpGet:*HTTPGetAction TCPSocket:tcpSocket:*TCPSocketAction
         Sleep:sleep:*SleepAction",
    ),
    (
        "SecurityContext",
        "Capabilities:capabilities:*Capabilities Privileged:privileged:plain
         SELinuxOptions:seLinuxOptions:*SELinuxOptions WindowsOptions:windowsOptions:*WindowsOptions
         RunAsUser:runAsUser:plain RunAsGroup:runAsGroup:plain RunAsNonRoot:runAsNonRoot:plain
         ReadOnlyRootFilesystem:readOnlyRootFilesystem:plain AllowPrivilegeEscalation:allowPrivilegeEscalation:plain
         ProcMount:procMount:plain SeccompProfile:seccompProfile:*Profile AppArmorProfile:appArmorProfile:*Profile",
    ),
    (
        "PodSecurityContext",
        "HostNetwork:hostNetwork:flag HostPID:hostPID:flag HostIPC:hostIPC:flag
         ShareProcessNamespace:shareProcessNamespace:plain HostUsers:hostUsers:plain
         SELinuxOptions:seLinuxOptions:*SELinuxOptions WindowsOptions:windowsOptions:*WindowsOptions
         RunAsUser:runAsUser:plain RunAsGroup:runAsGroup:plain RunAsNonRoot:runAsNonRoot:plain
         SupplementalGroups:supplementalGroups:plains SupplementalGroupsPolicy:supplementalGroupsPolicy:plain
         FSGroup:fsGroup:plain FSGroupChangePolicy:fsGroupChangePolicy:plain Sysctls:sysctls:[]Sysctl
         SeccompProfile:seccompProfile:*Profile AppArmorProfile:appArmorProfile:*Profile
         SELinuxChangePolicy:seLinuxChangePolicy:plain",
    ),
    ("Capabilities", "Add:add:plains Drop:drop:plains"),
    ("SELinuxOptions", "User:user:text Role:role:text Type:type:text Level:level:text"),
    (
        "WindowsOptions",
        "GMSACredentialSpecName:gmsaCredentialSpecName:plain GMSACredentialSpec:gmsaCredentialSpec:plain
         RunAsUserName:runAsUserName:plain HostProcess:hostProcess:plain",
    ),
    ("Profile", "Type:type:text LocalhostProfile:localhostProfile:plain"),
    ("Sysctl", "Name:name:text Value:value:text"),
    ("LocalObjectReference", "Name:name:text"),
    (
        "Affinity",
        "NodeAffinity:nodeAffinity:*NodeAffinity PodAffinity:podAffinity:*PodAffinity
         PodAntiAffinity:podAntiAffinity:*PodAffinity",
    ),
    (
        "NodeAffinity",
        "RequiredDuringSchedulingIgnoredDuringExecution:requiredDuringSchedulingIgnoredDuringExecution:*NodeSelector
         PreferredDuringSchedulingIgnoredDuringExecution:preferredDuringSchedulingIgnoredDuringExecution:[]PreferredTerm",
    ),
    ("NodeSelector", "NodeSelectorTerms:nodeSelectorTerms:[]NodeSelectorTerm"),
    (
        "NodeSelectorTerm",
        "MatchExpressions:matchExpressions:[]NodeRequirement MatchFields:matchFields:[]NodeRequirement",
    ),
    ("NodeRequirement", "Key:key:text Operator:operator:text Values:values:plains"),
    ("PreferredTerm", "Weight:weight:int Preference:preference:=NodeSelectorTerm"),
    (
        "PodAffinity",
        "RequiredDuringSchedulingIgnoredDuringExecution:requiredDuringSchedulingIgnoredDuringExecution:[]PodAffinityTerm
         PreferredDuringSchedulingIgnoredDuringExecution:preferredDuringSchedulingIgnoredDuringExecution:[]WeightedTerm",
    ),
    ("WeightedTerm", "Weight:weight:int PodAffinityTerm:podAffinityTerm:=PodAffinityTerm"),
    (
        "PodAffinityTerm",
        "LabelSelector:labelSelector:plain Namespaces:namespaces:plains TopologyKey:topologyKey:text
         NamespaceSelector:namespaceSelector:plain MatchLabelKeys:matchLabelKeys:plains
         MismatchLabelKeys:mismatchLabelKeys:plains",
    ),
    (
        "Toleration",
        "Key:key:text Operator:operator:text Value:value:text Effect:effect:text
         TolerationSeconds:tolerationSeconds:plain",
    ),
    ("HostAlias", "IP:ip:text Hostnames:hostnames:plains"),
    ("PodDNSConfig", "Nameservers:nameservers:plains Searches:searches:plains Options:options:[]DNSOption"),
    ("DNSOption", "Name:name:text Value:value:plain"),
    ("PodReadinessGate", "ConditionType:conditionType:text"),
    (
        "TopologySpreadConstraint",
        "MaxSkew:maxSkew:int TopologyKey:topologyKey:text WhenUnsatisfiable:whenUnsatisfiable:text
         LabelSelector:labelSelector:plain MinDomains:minDomains:plain NodeAffinityPolicy:nodeAffinityPolicy:plain
         NodeTaintsPolicy:nodeTaintsPolicy:plain MatchLabelKeys:matchLabelKeys:plains",
    ),
    ("PodOS", "Name:name:text"),
    ("PodSchedulingGate", "Name:name:text"),
    (
        "PodResourceClaim",
        "Name:name:text ResourceClaimName:resourceClaimName:plain
         ResourceClaimTemplateName:resourceClaimTemplateName:plain",
    ),
    (
        "Volume",
        "Name:name:text HostPath:hostPath:*HostPath EmptyDir:emptyDir:*EmptyDir GCEPersistentDisk:gcePersistentDisk:plain
         AWSElasticBlockStore:awsElasticBlockStore:plain GitRepo:gitRepo:plain Secret:secret:*SecretVolume NFS:nfs:*NFS
         ISCSI:iscsi:plain Glusterfs:glusterfs:plain PersistentVolumeClaim:persistentVolumeClaim:*ClaimVolume
         RBD:rbd:plain Quobyte:quobyte:plain FlexVolume:flexVolume:plain Cinder:cinder:plain CephFS:cephfs:plain
         Flocker:flocker:plain DownwardAPI:downwardAPI:*DownwardVolume FC:fc:plain AzureFile:azureFile:plain
         ConfigMap:configMap:*ConfigMapVolume VsphereVolume:vsphereVolume:plain AzureDisk:azureDisk:plain
         PhotonPersistentDisk:photonPersistentDisk:plain Projected:projected:*Projected
         PortworxVolume:portworxVolume:plain ScaleIO:scaleIO:plain StorageOS:storageos:plain CSI:csi:plain
         Ephemeral:ephemeral:plain Image:image:*ImageVolume",
    ),
    ("HostPath", "Path:path:text Type:type:plain"),
    ("EmptyDir", "Medium:medium:text SizeLimit:sizeLimit:plain"),
    (
        "SecretVolume",
        "SecretName:secretName:text Items:items:[]KeyToPath DefaultMode:defaultMode:plain Optional:optional:plain",
    ),
    (
        "ConfigMapVolume",
        "Name:name:text Items:items:[]KeyToPath DefaultMode:defaultMode:plain Optional:optional:plain",
    ),
    ("KeyToPath", "Key:key:text Path:path:text Mode:mode:plain"),
    ("NFS", "Server:server:text Path:path:text ReadOnly:readOnly:flag"),
    ("ClaimVolume", "ClaimName:claimName:text ReadOnly:readOnly:flag"),
    ("DownwardVolume", "Items:items:[]DownwardFile DefaultMode:defaultMode:plain"),
    (
        "DownwardFile",
        "Path:path:text FieldRef:fieldRef:*ObjectFieldSelector ResourceFieldRef:resourceFieldRef:*ResourceFieldSelector
         Mode:mode:plain",
    ),
    ("Projected", "Sources:sources:[]Projection DefaultMode:defaultMode:plain"),
    (
        "Projection",
        "Secret:secret:*KeyProjection DownwardAPI:downwardAPI:*DownwardProjection ConfigMap:configMap:*KeyProjection
         ServiceAccountToken:serviceAccountToken:*TokenProjection ClusterTrustBundle:clusterTrustBundle:plain
         PodCertificate:podCertificate:plain",
    ),
    ("KeyProjection", "Name:name:text Items:items:[]KeyToPath Optional:optional:plain"),
    ("DownwardProjection", "Items:items:[]DownwardFile"),
    ("TokenProjection", "Audience:audience:text ExpirationSeconds:expirationSeconds:int Path:path:text"),
    (
        "PersistentVolumeSource",
        "GCEPersistentDisk:gcePersistentDisk:plain AWSElasticBlockStore:awsElasticBlockStore:plain
         HostPath:hostPath:*HostPath Glusterfs:glusterfs:plain NFS:nfs:*NFS RBD:rbd:plain Quobyte:quobyte:plain
         ISCSI:iscsi:plain FlexVolume:flexVolume:plain Cinder:cinder:plain CephFS:cephfs:plain FC:fc:plain
         Flocker:flocker:plain AzureFile:azureFile:plain VsphereVolume:vsphereVolume:plain AzureDisk:azureDisk:plain
         PhotonPersistentDisk:photonPersistentDisk:plain PortworxVolume:portworxVolume:plain ScaleIO:scaleIO:plain
         Local:local:*LocalVolume StorageOS:storageos:plain CSI:csi:*CSIVolume",
    ),
    ("LocalVolume", "Path:path:text FSType:fsType:plain"),
    (
        "CSIVolume",
        "Driver:driver:text VolumeHandle:volumeHandle:text ReadOnly:readOnly:flag FSType:fsType:text
         VolumeAttributes:volumeAttributes:plains ControllerPublishSecretRef:controllerPublishSecretRef:*SecretReference
         NodeStageSecretRef:nodeStageSecretRef:*SecretReference NodePublishSecretRef:nodePublishSecretRef:*SecretReference
         ControllerExpandSecretRef:controllerExpandSecretRef:*SecretReference
         NodeExpandSecretRef:nodeExpandSecretRef:*SecretReference",
    ),
    ("SecretReference", "Name:name:text Namespace:namespace:text"),
    ("VolumeNodeAffinity", "Required:required:*NodeSelector"),
    (
        "PersistentVolumeClaimSpec",
        "AccessModes:accessModes:plains Selector:selector:plain Resources:resources:=VolumeResourceRequirements
         VolumeName:volumeName:text StorageClassName:storageClassName:plain VolumeMode:volumeMode:plain
         DataSource:dataSource:*TypedLocalObjectReference DataSourceRef:dataSourceRef:*TypedObjectReference
         VolumeAttributesClassName:volumeAttributesClassName:plain",
    ),
    ("VolumeResourceRequirements", "Limits:limits:plains Requests:requests:plains"),
    ("TypedLocalObjectReference", "APIGroup:apiGroup:plain Kind:kind:text Name:name:text"),
    ("TypedObjectReference", "APIGroup:apiGroup:plain Kind:kind:text Name:name:text Namespace:namespace:plain"),
    ("ImageVolume", "Reference:reference:text PullPolicy:pullPolicy:text"),
];
