/**
 * The shop's products: 24 in 6 categories, all invented.
 *
 * A product's id is its position in the list, from 1. The categories alternate, so that
 * the first six (featured) and the last six (newest) have one product of each category.
 */

export interface SeedCategory {
  slug: string;
  name: string;
}

export interface SeedProduct {
  /** Lower-case ASCII; also the value of the metrics' `product` label. */
  slug: string;
  name: string;
  /** Slug of its category. */
  category: string;
  priceCents: number;
  /** Initial stock. */
  stock: number;
  featured: boolean;
  /** One sentence, for lists. */
  summary: string;
  /** Two or three paragraphs, separated by blank lines. */
  description: string;
  /** Path below `public/`. */
  picture: string;
}

/** In the navigation's order. */
export const categories: SeedCategory[] = [
  { slug: 'bolsas-e-acessorios', name: 'Bolsas e acessórios' },
  { slug: 'audio', name: 'Áudio' },
  { slug: 'cozinha', name: 'Cozinha' },
  { slug: 'escritorio', name: 'Escritório' },
  { slug: 'casa', name: 'Casa' },
  { slug: 'esporte', name: 'Esporte e ar livre' },
];

export const products: SeedProduct[] = [
  {
    slug: 'mochila-urbana',
    name: 'Mochila Urbana 22 L',
    category: 'bolsas-e-acessorios',
    priceCents: 24990,
    stock: 240,
    featured: true,
    summary: 'Mochila de lona resinada que leva o notebook, a marmita e a muda de roupa sem parecer bagagem.',
    description: paragraphs(
      'Do metrô para o trabalho e do trabalho para a viagem de fim de semana. A lona de algodão resinada segura a chuva passageira, o fundo reforçado fica de pé sozinho e as alças acolchoadas distribuem o peso mesmo com a mochila cheia.',
      'São 22 litros bem divididos: compartimento suspenso para notebook de até 15,6", bolso frontal com organizador, bolso escondido nas costas para documentos e duas laterais elásticas para garrafa e guarda-chuva. Mede 44 × 30 × 16 cm e pesa 780 g.',
      'Para limpar, use pano úmido e sabão neutro; não lave na máquina. Na caixa: a mochila e um chaveiro de couro com mosquetão. Garantia de dois anos para costuras e zíperes.',
    ),
    picture: 'products/mochila-urbana.svg',
  },
  {
    slug: 'fone-sem-fio-aura',
    name: 'Fone de ouvido sem fio Aura',
    category: 'audio',
    priceCents: 59990,
    stock: 120,
    featured: true,
    summary: 'Cancelamento de ruído de verdade e 40 horas de bateria, em um fone que não aperta a cabeça.',
    description: paragraphs(
      'O Aura silencia o escritório, o avião e a obra do vizinho. Quatro microfones medem o ruído ao redor e o cancelam antes que chegue ao ouvido; com um toque, o modo ambiente deixa entrar a voz de quem fala com você.',
      'Os alto-falantes de 40 mm têm graves firmes e vozes nítidas. A bateria dura até 40 horas com cancelamento ligado, e dez minutos na tomada rendem mais cinco. Conecta-se a dois aparelhos ao mesmo tempo por Bluetooth 5.3 e funciona também com cabo.',
      'Pesa 248 g, com arco de aço revestido e almofadas de espuma com memória que podem ser trocadas. Na caixa: fone, estojo rígido, cabo USB-C e cabo P2 de 1,2 m.',
    ),
    picture: 'products/fone-sem-fio-aura.svg',
  },
  {
    slug: 'cafeteira-italiana',
    name: 'Cafeteira italiana Fervura',
    category: 'cozinha',
    priceCents: 13990,
    stock: 180,
    featured: true,
    summary: 'A moka de alumínio que perfuma a casa inteira e serve seis xícaras de café encorpado.',
    description: paragraphs(
      'Água embaixo, pó no meio, fogo baixo: em cinco minutos o café sobe, denso e perfumado. O corpo facetado de alumínio polido aquece por igual, e o cabo de baquelite continua frio na hora de servir.',
      'Rende 300 ml, seis xícaras pequenas. Mede 20 cm de altura e 10 cm de base, cabe na menor boca do fogão e funciona a gás, em placa elétrica e em fogareiro de camping. Para fogão por indução é preciso usar um disco adaptador, vendido à parte.',
      'Lave só com água morna e deixe secar aberta; detergente e lava-louças tiram o brilho do alumínio. Na caixa: cafeteira, um anel de vedação extra e uma colher dosadora.',
    ),
    picture: 'products/cafeteira-italiana.svg',
  },
  {
    slug: 'luminaria-articulada',
    name: 'Luminária articulada Ofício',
    category: 'escritorio',
    priceCents: 32990,
    stock: 75,
    featured: true,
    summary: 'Luz na medida e no lugar certo, com braço de molas que para onde você deixa.',
    description: paragraphs(
      'Inspirada nas luminárias de prancheta, a Ofício tem dois braços de aço com molas à vista e uma cúpula que gira para todos os lados. Um dedo basta para levá-la do livro ao teclado, e ela fica onde você deixar.',
      'A lâmpada LED de 9 W já vem instalada, com 806 lúmens, luz quente de 3000 K e cores fiéis (IRC 90). A base pesada, de 19 cm de diâmetro, dispensa parafusos; o braço alcança 72 cm. Soquete E27, bivolt, cabo de tecido de 1,8 m com interruptor.',
      'Pintura eletrostática amarela, fácil de limpar com pano seco. Na caixa: base, braço montado, cúpula, lâmpada e chave de ajuste.',
    ),
    picture: 'products/luminaria-articulada.svg',
  },
  {
    slug: 'poltrona-varanda',
    name: 'Poltrona Varanda',
    category: 'casa',
    priceCents: 189000,
    stock: 18,
    featured: true,
    summary: 'Assento largo, encosto que abraça e pés de madeira maciça, para ler até o fim do capítulo.',
    description: paragraphs(
      'A Varanda foi desenhada em torno de uma tarde de leitura: assento fundo, braços na altura do livro e um encosto curvo que apoia os ombros. A estrutura é de eucalipto de reflorestamento, com percintas elásticas e espuma de densidade 33.',
      'O tecido é um linho misto verde-oliva, encorpado e agradável no calor, com tratamento que repele líquidos. Mede 78 cm de largura, 82 de profundidade e 88 de altura, com assento a 43 cm do chão; suporta até 130 kg.',
      'Aspire com o bocal macio e limpe manchas com pano úmido, sem esfregar. A almofada terracota acompanha. Vai em uma única caixa: basta rosquear os quatro pés de madeira, sem ferramentas, em cinco minutos.',
    ),
    picture: 'products/poltrona-varanda.svg',
  },
  {
    slug: 'bicicleta-dobravel',
    name: 'Bicicleta dobrável Esquina',
    category: 'esporte',
    priceCents: 249000,
    stock: 15,
    featured: true,
    summary: 'Sete marchas, aro 20 e um quadro que se dobra em quinze segundos para caber debaixo da mesa.',
    description: paragraphs(
      'A Esquina resolve o trecho entre a estação e o escritório. Duas travas de aço soltam o quadro e o guidão, e em quinze segundos a bicicleta vira um volume de 80 × 60 × 35 cm, que entra no porta-malas, no elevador e no vagão.',
      'Quadro de alumínio 6061, câmbio de sete marchas com troca no punho, freios V-brake e pneus com faixa refletiva e proteção contra furos. O selim e o guidão ajustam-se sem ferramentas e servem a quem tem de 1,50 m a 1,90 m. Pesa 12,4 kg e leva até 110 kg.',
      'Chega montada e regulada: desdobre, encha os pneus e pedale. Na caixa: bicicleta, bomba de mão, campainha e jogo de chaves. A primeira revisão, com trinta dias, é por nossa conta.',
    ),
    picture: 'products/bicicleta-dobravel.svg',
  },
  {
    slug: 'oculos-de-sol',
    name: 'Óculos de sol Arpoador',
    category: 'bolsas-e-acessorios',
    priceCents: 21990,
    stock: 95,
    featured: false,
    summary: 'Armação de acetato tartaruga e lentes polarizadas com proteção total contra raios UV.',
    description: paragraphs(
      'Formato arredondado que combina com quase todo rosto, em acetato tartaruga cortado em chapa e polido à mão. As dobradiças de cinco dentes, em aço inoxidável, não afrouxam com o uso.',
      'As lentes polarizadas, de categoria 3, cortam o reflexo do mar e do asfalto e bloqueiam 100% dos raios UVA e UVB. Lente de 49 mm, ponte de 21 mm, hastes de 145 mm; pesa só 28 g.',
      'Lave com água e sabão neutro antes de secar com a flanela, para não riscar. Na caixa: óculos, estojo rígido e flanela de microfibra.',
    ),
    picture: 'products/oculos-de-sol.svg',
  },
  {
    slug: 'caixa-de-som-portatil',
    name: 'Caixa de som portátil Brisa',
    category: 'audio',
    priceCents: 37990,
    stock: 140,
    featured: false,
    summary: 'Som cheio em qualquer canto, à prova de areia, respingo e mergulho na piscina.',
    description: paragraphs(
      'Pequena na mochila e grande no quintal. Um alto-falante de graves e dois radiadores passivos entregam 20 W de som que se espalha para todos os lados, sem distorcer no volume máximo.',
      'Certificação IP67: pode cair na areia e passar meia hora debaixo de um metro de água. A bateria dura até 14 horas, e duas Brisas tocam juntas em estéreo. Bluetooth 5.3, microfone para chamadas e recarga por USB-C em duas horas e meia.',
      'Tecido coral resistente, alça de silicone e base antiderrapante. Mede 18 × 8 × 8 cm e pesa 560 g. Na caixa: caixa de som, cabo USB-C e mosquetão.',
    ),
    picture: 'products/caixa-de-som-portatil.svg',
  },
  {
    slug: 'frigideira-de-ferro',
    name: 'Frigideira de ferro fundido 26 cm',
    category: 'cozinha',
    priceCents: 18990,
    stock: 110,
    featured: false,
    summary: 'Ferro pré-curado que sela a carne, assa o pão de frigideira e melhora a cada uso.',
    description: paragraphs(
      'O ferro fundido guarda o calor como nenhum outro material: o bife doura em vez de cozinhar, e o pão de queijo de frigideira sai com casquinha. Vai ao fogão a gás, à indução, ao forno, à churrasqueira e à brasa.',
      'Vem pré-curada com óleo vegetal, sem revestimento sintético, pronta para usar. Tem 26 cm de diâmetro, 5 cm de altura, dois bicos para escorrer e alça de apoio; pesa 2,4 kg.',
      'Lave com água quente e escova, seque no fogo e passe um fio de óleo: a cura natural fica mais antiaderente com o tempo. Na caixa: frigideira, luva de silicone para o cabo e guia de cura.',
    ),
    picture: 'products/frigideira-de-ferro.svg',
  },
  {
    slug: 'teclado-mecanico',
    name: 'Teclado mecânico compacto Tecla 68',
    category: 'escritorio',
    priceCents: 45990,
    stock: 85,
    featured: false,
    summary: 'Digitação macia e silenciosa em 68 teclas, com setas, cê-cedilha e nada sobrando.',
    description: paragraphs(
      'O Tecla 68 tira o bloco numérico e devolve espaço à mesa, sem abrir mão das setas nem do padrão ABNT2 com Ç. Os interruptores lineares lubrificados, montados sobre espuma, dão um toque macio que não acorda a casa.',
      'As teclas de PBT têm legenda por sublimação, que não apaga. Os interruptores se trocam sem solda, e a conexão é tripla: cabo USB-C, receptor de 2,4 GHz ou Bluetooth com até três aparelhos. A bateria dura cerca de dois meses com a luz apagada.',
      'Mede 32 × 11 × 4 cm e pesa 690 g. Na caixa: teclado, cabo trançado de 1,6 m, receptor, sacador de teclas e quatro interruptores de reserva.',
    ),
    picture: 'products/teclado-mecanico.svg',
  },
  {
    slug: 'cachepo-de-ceramica',
    name: 'Cachepô de cerâmica Quintal',
    category: 'casa',
    priceCents: 11990,
    stock: 64,
    featured: false,
    summary: 'Cerâmica torneada à mão, com pés de madeira, para a planta que merece um lugar na sala.',
    description: paragraphs(
      'Cada peça passa pelo torno e pelo forno em uma pequena olaria, e por isso nenhuma é igual à outra. O barro fica natural embaixo e recebe uma faixa de esmalte fosco cor de areia na borda.',
      'Recebe vasos de até 20 cm de diâmetro. Mede 22 cm de diâmetro e 20 de altura, 34 com o suporte de madeira de pínus tratada, que se encaixa sem parafusos. É impermeabilizado por dentro e não tem furo, então não molha o piso.',
      'Limpe com pano úmido e evite choques de temperatura. Na caixa: cachepô, suporte de madeira e feltros para os pés. A planta não acompanha.',
    ),
    picture: 'products/cachepo-de-ceramica.svg',
  },
  {
    slug: 'garrafa-termica',
    name: 'Garrafa térmica Nascente 750 ml',
    category: 'esporte',
    priceCents: 9990,
    stock: 250,
    featured: false,
    summary: 'Água gelada por 24 horas ou café quente por 12, em aço inoxidável que não pega gosto.',
    description: paragraphs(
      'Parede dupla a vácuo em aço inoxidável 304: o gelo amanhece gelo, e por fora a garrafa não sua nem esquenta a mão. A boca larga aceita cubos inteiros e uma escova de limpeza.',
      'A tampa de rosca veda por completo e tem alça para pendurar na mochila. São 750 ml em 26,5 cm de altura e 7,3 cm de diâmetro, na medida dos porta-copos e das bicicletas; pesa 360 g. Livre de BPA.',
      'A pintura a pó verde-água não escorrega e resiste a riscos. Lave à mão, com a tampa desmontada. Na caixa: garrafa e anel de vedação extra.',
    ),
    picture: 'products/garrafa-termica.svg',
  },
  {
    slug: 'relogio-de-pulso',
    name: 'Relógio de pulso Pontual',
    category: 'bolsas-e-acessorios',
    priceCents: 48990,
    stock: 0,
    featured: false,
    summary: 'Mostrador limpo, vidro de safira e pulseira de couro que se troca sem ferramenta.',
    description: paragraphs(
      'Um relógio para ver as horas com um olhar: mostrador creme, índices aplicados e ponteiro de segundos azul. A caixa de aço inoxidável escovado tem 38 mm de diâmetro e só 8 mm de espessura, e some sob o punho da camisa.',
      'Movimento a quartzo com bateria de três anos, vidro de safira antirreflexo e resistência à água de 5 ATM, que aguenta a chuva e a pia, mas não o mergulho. A pulseira de couro caramelo, de 20 mm, solta-se com um toque.',
      'Limpe a caixa com pano macio e mantenha o couro seco. Na caixa: relógio, estojo de feltro e manual. Garantia de dois anos.',
    ),
    picture: 'products/relogio-de-pulso.svg',
  },
  {
    slug: 'fones-intra-auriculares',
    name: 'Fones intra-auriculares Pingo',
    category: 'audio',
    priceCents: 34990,
    stock: 200,
    featured: false,
    summary: 'Leves como um pingo: 4 gramas por fone e 28 horas de música com o estojo.',
    description: paragraphs(
      'Pequenos o bastante para esquecer que estão no ouvido. O Pingo tem haste curta sensível ao toque, três tamanhos de ponteira e resistência a suor e chuva (IPX4), para a corrida e para o caminho de casa.',
      'São sete horas por carga e mais três recargas no estojo, que volta a cheio em uma hora por USB-C ou sobre uma base sem fio. Dois microfones por lado separam a voz do vento nas chamadas. Bluetooth 5.3 com conexão automática ao abrir a tampa.',
      'O estojo mede 6,2 × 4,6 × 2,4 cm e pesa 42 g com os fones. Na caixa: fones, estojo de recarga, ponteiras P, M e G e cabo USB-C.',
    ),
    picture: 'products/fones-intra-auriculares.svg',
  },
  {
    slug: 'par-de-canecas',
    name: 'Par de canecas Duas Prosas',
    category: 'cozinha',
    priceCents: 8990,
    stock: 160,
    featured: false,
    summary: 'Duas canecas de cerâmica esmaltada, uma azul e uma areia, para o café que vira conversa.',
    description: paragraphs(
      'Cerâmica de alta temperatura, com esmalte brilhante em cima e barro à vista embaixo. A alça larga acomoda três dedos, e a parede grossa mantém o café quente até o fim da história.',
      'Cada caneca leva 320 ml, mede 9 cm de altura e 8,5 de diâmetro e pesa 340 g. O esmalte, livre de chumbo, escorre de um jeito em cada peça: pequenas variações de cor são do feitio.',
      'Vão ao micro-ondas e à lava-louças. Na caixa, de papelão reciclado e pronta para presente: uma caneca azul e uma cor de areia.',
    ),
    picture: 'products/par-de-canecas.svg',
  },
  {
    slug: 'mouse-vertical',
    name: 'Mouse vertical Punho',
    category: 'escritorio',
    priceCents: 19990,
    stock: 130,
    featured: false,
    summary: 'A mão descansa como em um aperto de mãos, e o punho agradece no fim do dia.',
    description: paragraphs(
      'Inclinado a 57 graus, o Punho mantém o antebraço em posição neutra e tira a pressão do túnel do carpo. O apoio emborrachado para o polegar e a base larga evitam arrastar a mão na mesa.',
      'Sensor óptico de 800 a 2400 dpi, seis botões silenciosos e roda de rolagem com passo suave. Liga-se por receptor de 2,4 GHz ou Bluetooth e alterna entre dois computadores com um botão. A bateria dura cerca de 60 dias.',
      'Para mão direita, de tamanho médio a grande; mede 12 × 7 × 6,5 cm e pesa 118 g. Na caixa: mouse, receptor USB e cabo USB-C para recarga.',
    ),
    picture: 'products/mouse-vertical.svg',
  },
  {
    slug: 'manta-de-algodao',
    name: 'Manta de algodão Serra',
    category: 'casa',
    priceCents: 26990,
    stock: 6,
    featured: false,
    summary: 'Tecida em tear manual com algodão reciclado, para o sofá, a rede e a noite fria.',
    description: paragraphs(
      'A trama aberta aquece sem pesar e deixa o ar passar, do inverno na serra ao ar-condicionado de janeiro. É tecida em tear manual por uma cooperativa, com fios de algodão reciclado tingidos antes da fiação.',
      'Listras cor de mostarda e barro sobre cru, com franjas torcidas nas duas pontas. Mede 180 × 130 cm, sem contar as franjas de 10 cm, e pesa 900 g. Cobre um sofá de três lugares ou os pés de uma cama de casal.',
      'Lave à máquina em ciclo delicado, com água fria, e seque na horizontal. Vem dobrada em um saco do mesmo algodão, que serve depois para guardá-la.',
    ),
    picture: 'products/manta-de-algodao.svg',
  },
  {
    slug: 'tapete-de-ioga',
    name: 'Tapete de ioga Raiz',
    category: 'esporte',
    priceCents: 15990,
    stock: 90,
    featured: false,
    summary: 'Borracha natural que não escorrega nem com as mãos suadas, com alça para levar no ombro.',
    description: paragraphs(
      'Seis milímetros de espuma de borracha natural protegem os joelhos sem afundar o pé nas posturas de equilíbrio. A textura de cima agarra a mão; a de baixo, o piso, seja taco, cerâmica ou grama.',
      'Mede 183 × 61 cm e pesa 1,6 kg, com linhas discretas de alinhamento. Não leva PVC nem látex sintético; o cheiro suave da borracha some em poucos dias ao ar livre.',
      'Limpe com pano úmido e vinagre diluído, seque à sombra e guarde enrolado com a face lilás para fora. Na caixa: tapete e alça de algodão ajustável.',
    ),
    picture: 'products/tapete-de-ioga.svg',
  },
  {
    slug: 'mala-de-bordo',
    name: 'Mala de bordo Partida 37 L',
    category: 'bolsas-e-acessorios',
    priceCents: 64990,
    stock: 40,
    featured: false,
    summary: 'Casco leve de policarbonato e quatro rodas silenciosas, no tamanho aceito na cabine.',
    description: paragraphs(
      'O casco de policarbonato flexiona e volta em vez de trincar, e as rodas duplas giram 360 graus sem acordar o corredor do hotel. O puxador de alumínio para em três alturas e não balança.',
      'Por dentro, 37 litros em dois lados: um com tiras de compressão, outro com divisória de zíper e bolso para roupa suja. Mede 55 × 35 × 23 cm com as rodas, dentro do limite usual das companhias aéreas brasileiras, e pesa 2,6 kg. Fecho com segredo de três dígitos.',
      'O forro, de garrafas PET recicladas, sai para lavar. Na caixa: mala, capa de algodão e dois organizadores. Garantia de cinco anos para casco, rodas e puxador.',
    ),
    picture: 'products/mala-de-bordo.svg',
  },
  {
    slug: 'toca-discos',
    name: 'Toca-discos Domingo',
    category: 'audio',
    priceCents: 129000,
    stock: 3,
    featured: false,
    summary: 'Tração por correia, base de madeira e agulha pronta: é só escolher o lado A.',
    description: paragraphs(
      'O Domingo traz o ritual do vinil sem a complicação. O prato de alumínio gira por correia, isolado do motor, e o braço balanceado já vem ajustado para a cápsula magnética instalada de fábrica.',
      'Toca discos de 33 e 45 rotações, com parada automática no fim do lado. O pré-amplificador embutido liga direto a caixas ativas e pode ser desligado para usar o seu; a saída é RCA. A base de MDF com folha de nogueira pousa sobre pés que absorvem vibração.',
      'Mede 42 × 35 × 13 cm com a tampa de acrílico e pesa 5,2 kg. Bivolt. Na caixa: toca-discos, tapete de feltro, adaptador de 45 rotações, cabo RCA e escova antiestática.',
    ),
    picture: 'products/toca-discos.svg',
  },
  {
    slug: 'chaleira-bico-fino',
    name: 'Chaleira elétrica de bico fino',
    category: 'cozinha',
    priceCents: 29990,
    stock: 70,
    featured: false,
    summary: 'Temperatura escolhida grau a grau e um fio de água preciso para o café coado.',
    description: paragraphs(
      'Quem coa café sabe que metade do sabor está na água. A base tem controle de 40 a 100 °C, grau a grau, e mantém a temperatura por até uma hora; o bico de ganso despeja um fio lento e certeiro.',
      'Leva 900 ml e ferve em quatro minutos, com 1200 W. O interior é todo de aço inoxidável, sem plástico em contato com a água, e a pegada de madeira de faia não esquenta. Desliga sozinha se for ligada vazia. Modelo de 127 V.',
      'Acabamento preto fosco: limpe com pano úmido e, uma vez por mês, ferva água com vinagre para tirar o calcário. Na caixa: chaleira, base com cabo de 80 cm e manual.',
    ),
    picture: 'products/chaleira-bico-fino.svg',
  },
  {
    slug: 'suporte-para-notebook',
    name: 'Suporte para notebook Mirante',
    category: 'escritorio',
    priceCents: 17990,
    stock: 150,
    featured: false,
    summary: 'Alumínio maciço que põe a tela na altura dos olhos e o pescoço no lugar.',
    description: paragraphs(
      'Quinze centímetros fazem diferença: com a tela na altura dos olhos, os ombros abrem e o pescoço descansa. O Mirante é uma chapa de alumínio de 4 mm dobrada em curva, sem dobradiças que balançam enquanto você digita.',
      'Recebe notebooks de 11 a 16 polegadas e até 6 kg. A abertura sob a máquina deixa o ar circular e passar os cabos, e as faixas de silicone não riscam nem escorregam. Mede 25 × 23 × 15 cm e pesa 1,1 kg.',
      'Sem montagem: é tirar da caixa e usar. Combine com teclado e mouse à parte. Limpe com pano úmido. Na caixa: suporte e quatro apoios de silicone de reserva. O notebook não acompanha.',
    ),
    picture: 'products/suporte-para-notebook.svg',
  },
  {
    slug: 'relogio-de-parede',
    name: 'Relógio de parede Meio-Dia',
    category: 'casa',
    priceCents: 14990,
    stock: 55,
    featured: false,
    summary: 'Aro de madeira clara e movimento contínuo, que marca as horas sem tique-taque.',
    description: paragraphs(
      'Um mostrador que se lê do outro lado da sala, com traços largos nas horas e ponteiro de segundos cor de barro. O movimento contínuo desliza em silêncio, bom também para o quarto.',
      'Aro de madeira de freijó, com acabamento em óleo natural, e tampa de vidro. Mede 30 cm de diâmetro e 4,5 de espessura e pesa 850 g. Funciona com uma pilha AA, que dura cerca de um ano.',
      'Tire o pó com pano seco. Na caixa: relógio, bucha, parafuso e gabarito de papel para marcar o furo. A pilha não acompanha.',
    ),
    picture: 'products/relogio-de-parede.svg',
  },
  {
    slug: 'barraca-para-dois',
    name: 'Barraca Pernoite para dois',
    category: 'esporte',
    priceCents: 79990,
    stock: 32,
    featured: false,
    summary: 'Monta-se em seis minutos, aguenta chuva de verão e pesa pouco mais de dois quilos.',
    description: paragraphs(
      'Duas varetas de alumínio se cruzam, os ganchos se prendem e a Pernoite está de pé em seis minutos, mesmo no escuro. O quarto é todo de tela fina: entra a brisa, não entra o pernilongo.',
      'O sobreteto de poliéster tem costuras seladas e coluna d’água de 3.000 mm; o piso, de 5.000 mm. Há um avanço coberto para as botas e as mochilas. Por dentro, mede 210 × 135 cm, com 105 cm de altura; fechada, 42 × 15 cm e 2,3 kg.',
      'Seque bem antes de guardar, para não mofar, e limpe só com água. Na caixa: quarto, sobreteto, varetas, doze espeques, quatro cordins refletivos, kit de reparo e saco de transporte.',
    ),
    picture: 'products/barraca-para-dois.svg',
  },
];

function paragraphs(...texts: string[]): string {
  return texts.join('\n\n');
}
